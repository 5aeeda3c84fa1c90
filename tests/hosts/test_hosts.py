"""Stages on hosts of their own, over tcp with CURVE: each is killed, each link is cut for 10 s.

One system with two gateways and a client at each serve all; costs about 120 seconds, in which the
machine mostly waits: a cut link stays cut for 10 s. Runs as root on Linux. The name server never
answers: hosts know each other's names without it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from common.curve import make_keys
from tests.hosts.network import Network, missing
from tests.hosts.speaker import kind_of
from tests.processes import StageProcess

WHY_NOT = missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-"),
]

GATEWAYS: Final = ("gw1", "gw2")
WORKERS: Final = ("ver1", "ver2", "tr1", "tr2")
CUT_S: Final = 10.0
PATIENCE_S: Final = 60.0
NOWHERE: Final = "gone.example"
"""A name that only the name server would know."""


class System:
    """The stages by host, as README's section on several machines starts them."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self._keys = make_keys(folder / "keys")
        self._folder = folder
        self._stop = folder / "stop"
        self.stages = {host: self.start(host) for host in (*GATEWAYS, *WORKERS)}
        for host in (*GATEWAYS, *WORKERS):
            self.stages[host].wait_for_line("is ready", PATIENCE_S)
        for host in GATEWAYS:
            for kind in ("verifier", "transcriber"):
                self._wait_for_both(host, kind)
        self.name_server = network.start("dns", "tests.hosts.silent_names")
        self.name_server.wait_for_line("^listens", PATIENCE_S)
        self.speakers = [
            network.start("client", "tests.hosts.speaker", f"ws://{host}:8012", str(self._stop))
            for host in GATEWAYS
        ]

    def start(self, host: str, known_as: str = "") -> StageProcess:
        """Start the stage of a host; a transcriber tells others its name, or another one."""
        stage = {"gw": "gateway", "ve": "verifier", "tr": "transcriber"}[host[:2]]
        common = ("--curve-dir", f"{self._keys}/{stage}", "--run-dir", f"{self._folder}/{host}")
        options: tuple[str, ...]
        match stage:
            case "gateway":
                options = (
                    *("--frames", "tcp://*:5551", "--verdicts", "tcp://*:5552"),
                    *("--results", "tcp://*:5553", "--host", "0.0.0.0", "--insecure"),
                    *("--server-name", host, "--verify-data-integrity", "--metrics-port", "8013"),
                )
            case "verifier":
                options = ("--frames", _all(5551), "--verdicts", _all(5552))
            case _:
                options = (
                    *("--results", _all(5553), "--audio", "tcp://*:5554"),
                    *("--commands", "tcp://*:5555", "--advertise-host", known_as or host),
                    *("--engine", "null"),
                )
        return self.network.start(host, stage, *common, *options)

    def hear_another(self) -> None:
        """Wait until each client has heard a sentence that it has not said yet."""
        for word in ("^spoken", "^heard"):
            said = [len(speaker.lines) for speaker in self.speakers]
            for speaker, after in zip(self.speakers, said, strict=True):
                speaker.wait_for_line(word, PATIENCE_S, after=after)

    def finish(self) -> None:
        """End the speeches."""
        self._stop.touch()
        for speaker in self.speakers:
            speaker.wait_for_line("^done", PATIENCE_S)

    def _wait_for_both(self, host: str, kind: str) -> None:
        first = self.stages[host].wait_for_line(rf"{kind} (\S+) joined", PATIENCE_S)
        self.stages[host].wait_for_line(rf"{kind} (?!{first[1]})\S+ joined", PATIENCE_S)


def _all(port: int) -> str:
    """The endpoints at all gateways."""
    return ",".join(f"tcp://{host}:{port}" for host in GATEWAYS)


def said_and_heard(speaker: StageProcess) -> tuple[list[int], list[int]]:
    """The kinds of sentences that a client said, and heard."""
    lines = [line.partition(" ") for line in speaker.lines]
    spoken = [int(rest) for word, _, rest in lines if word == "spoken"]
    return spoken, [kind_of(rest) for word, _, rest in lines if word == "heard"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    hosts = ("client", *GATEWAYS, *WORKERS, "tr3", "dns")
    with Network(hosts, name_server="dns") as network:
        system = System(network, tmp_path_factory.mktemp("hosts"))
        for speaker in system.speakers:
            speaker.wait_for_line("^spoken", PATIENCE_S)
        yield system


FAULTS: Final = [("ver1", "tr1"), ("ver2", "tr2"), ("gw1",), ("gw2",)]


@pytest.mark.parametrize("hosts", FAULTS, ids="+".join)
def test_killed_stages_are_gone_on_without(system: System, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        system.stages[host].kill()
        system.stages[host] = system.start(host)
    system.hear_another()


@pytest.mark.parametrize("hosts", FAULTS, ids="+".join)
def test_cut_links_are_gone_on_without(system: System, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        system.network.cut(host)
    time.sleep(CUT_S)  # that long, and not until something: it is what is claimed
    for host in hosts:
        system.network.mend(host)
    system.hear_another()


def test_a_name_that_nobody_answers_for_stalls_no_session(system: System) -> None:
    """The look-up takes minutes, so that all of this happens while it lasts."""
    asked = len(system.name_server.lines)
    lost = system.start("tr3", known_as=NOWHERE)
    system.name_server.wait_for_line(NOWHERE, PATIENCE_S, after=asked)
    for host in GATEWAYS:
        gateway = system.stages[host]
        gateway.wait_for_line(rf"{NOWHERE}:5555 cannot be looked up", PATIENCE_S)
        gateway.wait_for_line(rf"cannot look up {NOWHERE}: no answer within", PATIENCE_S)
        ready = system.network.get(host, "http://127.0.0.1:8013/readyz")
        assert ready.startswith("ready; ")
        assert f"cannot look up {NOWHERE}: no answer within" in ready
    for _ in range(2):
        system.hear_another()
    assert lost.alive
    assert not any(f"{NOWHERE} is found" in system.stages[h].output for h in GATEWAYS)


def test_every_sentence_was_heard_once_and_in_order(system: System) -> None:
    system.finish()
    for speaker in system.speakers:
        spoken, heard = said_and_heard(speaker)
        assert len(spoken) >= 8
        assert heard == spoken
