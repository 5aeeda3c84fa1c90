from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
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
            StageSettings(metrics_port=0, server_names=("told.example",)),
            self.lifecycle,
            self.registry,
            lambda: self.missing,
        )

    def raw(self, request: str) -> tuple[list[str], str]:
        """Header lines and body of the answer to a request, byte for byte."""
        address = ("127.0.0.1", self.telemetry.port)
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(request.encode())
            answer = b""
            while data := connection.recv(65_536):
                answer += data
        headers, _, body = answer.decode().partition("\r\n\r\n")
        return headers.split("\r\n"), body

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.telemetry.port}{path}"
        request = urllib.request.Request(url, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
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
    assert body.count("\nstt_build_info{") == 1


def test_health_is_a_loop_that_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.get("/healthz") == (200, "ok\n")  # its first turn is yet to come
    stage.lifecycle.turn()
    assert stage.get("/healthz") == (200, "ok\n")
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 11.0)
    assert stage.get("/healthz") == (503, "the loop has not turned for 11 s\n")
    stage.lifecycle.turn()
    assert stage.get("/healthz") == (200, "ok\n")


def test_who_answers_is_said(stage: Stage) -> None:
    headers, _ = stage.raw("GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert f"Stt-Stage: verifier {os.getpid()}" in headers


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/other"])
def test_head_is_answered_as_get_is_without_a_body(stage: Stage, path: str) -> None:
    got, body = stage.raw(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")
    headers, nothing = stage.raw(f"HEAD {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert headers[0] == got[0]
    assert body
    assert nothing == ""


def test_other_methods_are_refused(stage: Stage) -> None:
    headers, _ = stage.raw("POST /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert headers[0].endswith("405 Method Not Allowed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "verifier:8014", "told.example"])
def test_own_names_are_answered(stage: Stage, host: str) -> None:
    headers, _ = stage.raw(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n")
    assert headers[0].endswith("200 OK")


@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1.evil.example", "10.0.0.1"])
def test_a_rebound_name_gets_nothing_and_is_counted(stage: Stage, host: str) -> None:
    headers, body = stage.raw(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n")
    assert headers[0].endswith("421 Misdirected Request")
    assert "--server-name" in body
    assert 'stt_telemetry_refused_total{reason="host"} 1.0' in stage.get("/metrics")[1]


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


def test_silent_peers_blank_nothing(stage: Stage) -> None:
    """Each newcomer takes the place of the one that has kept silent longest."""
    address = ("127.0.0.1", stage.telemetry.port)
    with contextlib.ExitStack() as stack:
        many = [
            stack.enter_context(socket.create_connection(address, timeout=10))
            for _ in range(2 * telemetry_module.MAX_REQUESTS)
        ]
        assert many[0].recv(1) == b""
        for _ in range(3):
            assert stage.get("/healthz") == (200, "ok\n")
        assert "stt_telemetry_refused_total" in stage.get("/metrics")[1]
        threads = [t for t in threading.enumerate() if "process_request" in t.name]
        assert len(threads) <= telemetry_module.MAX_REQUESTS


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


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
    ],
)
def test_no_web_page_reads_what_is_served(
    stage: Stage, headers: dict[str, str], status: int
) -> None:
    assert stage.get("/metrics", headers)[0] == status
