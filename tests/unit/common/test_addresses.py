"""common.addresses: where links lead, and names that nobody answers for."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from common import addresses
from common.addresses import (
    GatewayEndpoints,
    Names,
    Target,
    host_to_look_up,
    split_endpoints,
    target_of,
    targets_of,
)
from common.errors import SettingsError
from common.settings import VerifierSettings
from tests.processes import wait_until

WAIT_S = 30.0


def known(**hosts: list[str]) -> Names:
    names = Names(lambda host: hosts[host])
    for host in hosts:
        names.addresses(host, wait_s=WAIT_S)
    return names


@pytest.mark.parametrize(
    "endpoint, host",
    [
        ("ipc:///run/stt/frames.sock", ""),
        ("tcp://10.0.0.1:5551", ""),
        ("tcp://[::1]:5551", ""),
        ("tcp://*:5551", ""),
        ("tcp://gateway:5551", "gateway"),
    ],
)
def test_only_host_names_are_looked_up(endpoint: str, host: str) -> None:
    assert host_to_look_up(endpoint) == host


def test_a_name_leads_to_all_its_addresses() -> None:
    names = known(gateway=["10.0.0.1", "10.0.0.2", "fd00::1"])
    named = "tcp://gateway:5551"
    assert targets_of(named, names) == [
        Target("tcp://10.0.0.1:5551", named),
        Target("tcp://10.0.0.2:5551", named),
        Target("tcp://[fd00::1]:5551", named),
    ]
    assert target_of(named, names).endpoint == "tcp://10.0.0.1:5551"


def test_who_waits_for_no_answer_waits_no_longer_than_said_and_once() -> None:
    answer = threading.Event()
    asked: list[str] = []

    def ask(host: str) -> list[str]:
        asked.append(host)
        assert answer.wait(WAIT_S)
        return ["10.0.0.1"]

    names = Names(ask)
    assert names.addresses("dead", wait_s=0.01) == ()
    for _ in range(100):
        assert names.addresses("dead", wait_s=WAIT_S) == ()
    assert asked == ["dead"]
    with pytest.raises(SettingsError, match="cannot be looked up"):
        target_of("tcp://dead:1", names)
    answer.set()
    wait_until(lambda: names.addresses("dead") == ("10.0.0.1",), "the late answer is used")


def test_a_name_that_is_not_answered_in_time_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(addresses, "DEADLINE_S", 0.0)
    answer = threading.Event()

    def ask(host: str) -> list[str]:
        answer.wait(WAIT_S)
        return ["10.0.0.1"]

    names = Names(ask)
    names.addresses("dead")
    wait_until(lambda: names.problems == ["cannot look up dead: no answer within 5 s"], "it is")
    for _ in range(3):
        names.addresses("dead")
    assert caplog.messages == ["cannot look up dead: no answer within 5 s"]
    answer.set()
    wait_until(lambda: not names.problems, "it is none any more")


def test_a_name_server_that_is_away_changes_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "REFRESH_S", 0.0)
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    is_away = threading.Event()

    def ask(host: str) -> list[str]:
        if is_away.is_set():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ["10.0.0.1"]

    names = Names(ask)
    assert names.addresses("gateway", wait_s=WAIT_S) == ("10.0.0.1",)
    is_away.set()
    monkeypatch.setattr(addresses, "REFRESH_S", 1000.0)
    wait_until(lambda: names.addresses("gateway") and names.problems, "it is a problem")
    assert names.addresses("gateway") == ("10.0.0.1",)
    assert names.problems == ["cannot look up gateway: Temporary failure in name resolution"]


def test_gateways_are_those_that_are_named(tmp_path: Path) -> None:
    names = known(a=["10.0.0.1"], b=["10.0.0.2", "10.0.0.1"])
    settings = VerifierSettings(run_dir=str(tmp_path), frames="tcp://a:5551, tcp://b:5551")
    ends = GatewayEndpoints(settings, "frames", names)
    assert ends.is_tcp
    assert [t.endpoint for t in ends.targets()] == ["tcp://10.0.0.1:5551", "tcp://10.0.0.2:5551"]


def test_gateways_are_else_those_of_the_run_dir(tmp_path: Path) -> None:
    ends = GatewayEndpoints(VerifierSettings(run_dir=str(tmp_path)), "frames", Names())
    first = f"ipc://{tmp_path}/frames.sock"
    assert [t.endpoint for t in ends.targets()] == [first]
    for name in ("frames-2.sock", "frames-3.sock", "results-2.sock", "frames-host-1-ab.sock"):
        (tmp_path / name).touch()
    others = [f"ipc://{tmp_path}/frames-{slot}.sock" for slot in (2, 3)]
    assert [t.endpoint for t in ends.targets()] == [first, *others]
    (tmp_path / "frames-2.sock").unlink()
    assert len(ends.targets()) == 2


def test_a_link_is_all_encrypted_or_not_at_all() -> None:
    assert split_endpoints(" tcp://a:1 ,tcp://b:2,") == ["tcp://a:1", "tcp://b:2"]
    with pytest.raises(SettingsError, match="all tcp or all ipc"):
        split_endpoints("tcp://a:1,ipc:///b")
