from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from common import telemetry as telemetry_module
from common.errors import SettingsError
from common.lifecycle import Lifecycle
from common.settings import StageSettings
from common.telemetry import Telemetry


class Stage:
    """What a stage hands to its telemetry."""

    def __init__(self) -> None:
        self.lifecycle = Lifecycle("verifier")
        self.registry = CollectorRegistry()
        self.missing = ""
        self.telemetry = Telemetry(
            StageSettings(metrics_port=0), self.lifecycle, self.registry, lambda: self.missing
        )

    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.telemetry.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.telemetry.close()


def test_metrics_are_those_of_the_stages_registry(stage: Stage) -> None:
    Counter("stt_things", "Things.", registry=stage.registry).inc(3)
    status, body = stage.get("/metrics")
    assert status == 200
    assert "stt_things_total 3.0" in body
    assert "python_info" not in body


def test_health_is_being_alive(stage: Stage) -> None:
    assert stage.get("/healthz") == (200, "ok\n")


def test_ready_follows_the_life_of_the_stage(stage: Stage) -> None:
    assert stage.get("/readyz") == (503, "starting\n")
    stage.lifecycle.ready()
    assert stage.get("/readyz") == (200, "ready\n")
    stage.missing = "no transcriber is there"
    assert stage.get("/readyz") == (503, "no transcriber is there\n")
    stage.lifecycle.request_drain()
    assert stage.get("/readyz") == (503, "draining\n")


def test_other_paths_are_not_found(stage: Stage) -> None:
    status, body = stage.get("/")
    assert status == 404
    assert "/metrics" in body


def test_a_slow_peer_keeps_nobody_waiting_and_is_cut_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_module, "REQUEST_S", 1.0)
    with socket.create_connection(("127.0.0.1", stage.telemetry.port), timeout=10) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")  # and never an end of it
        assert stage.get("/healthz") == (200, "ok\n")
        while slow.recv(4096):
            pass


def test_peers_without_number_take_no_threads_without_number(stage: Stage) -> None:
    address = ("127.0.0.1", stage.telemetry.port)
    with contextlib.ExitStack() as stack:
        many = [
            stack.enter_context(socket.create_connection(address, timeout=10))
            for _ in range(telemetry_module.MAX_REQUESTS + 1)
        ]
        assert many[-1].recv(1) == b""
    assert stage.get("/healthz") == (200, "ok\n")


def test_by_default_nothing_is_served() -> None:
    telemetry = Telemetry(StageSettings(), Lifecycle("verifier"), CollectorRegistry())
    assert telemetry.port == -1
    telemetry.close()


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = StageSettings(metrics_port=port)
        with pytest.raises(SettingsError, match=f"cannot serve metrics on 127.0.0.1:{port}"):
            Telemetry(settings, Lifecycle("verifier"), CollectorRegistry())
