"""Stages on hosts of their own, over tcp with CURVE: each is killed, each link is cut for 10 s.

One system and one client serve all; costs about 70 seconds, in which the machine mostly waits: cut
links stay cut for 10 s. Runs as root on Linux.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from common.curve import make_keys
from deploy.demo_parts import same_words
from tests.hosts.network import Network, missing
from tests.processes import StageProcess
from tests.speech import SENTENCES

WHY_NOT = missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-"),
]

GATEWAYS: Final = ("gw1",)
WORKERS: Final = ("ver1", "ver2", "tr1", "tr2")
CUT_S: Final = 10.0
PATIENCE_S: Final = 60.0


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
        for _ in range(2):
            self.stages["gw1"].wait_for_line("transcriber .* joined", PATIENCE_S)
        self.speaker = network.start(
            "client", "tests.hosts.speaker", "ws://gw1:8012", str(self._stop)
        )

    def start(self, host: str) -> StageProcess:
        """Start the stage of a host."""
        stage = {"gw": "gateway", "ve": "verifier", "tr": "transcriber"}[host[:2]]
        common = ("--curve-dir", f"{self._keys}/{stage}", "--run-dir", f"{self._folder}/{host}")
        options: tuple[str, ...]
        match stage:
            case "gateway":
                options = (
                    *("--frames", "tcp://*:5551", "--verdicts", "tcp://*:5552"),
                    *("--results", "tcp://*:5553", "--host", "0.0.0.0", "--insecure"),
                    *("--server-name", host, "--verify-data-integrity"),
                )
            case "verifier":
                options = ("--frames", "tcp://gw1:5551", "--verdicts", "tcp://gw1:5552")
            case _:
                options = (
                    *("--results", "tcp://gw1:5553", "--audio", "tcp://*:5554"),
                    *("--commands", "tcp://*:5555", "--advertise-host", host),
                    *("--engine-workers", "1"),
                )
        return self.network.start(host, stage, *common, *options)

    def hears_another(self) -> None:
        """Wait until the client hears a sentence that it has not said yet."""
        self.speaker.wait_for_line("^spoken", PATIENCE_S, after=len(self.speaker.lines))
        self.speaker.wait_for_line("^heard", PATIENCE_S, after=len(self.speaker.lines))

    def finish(self) -> tuple[list[str], list[str]]:
        """End the speech; the sentences that were said, and what was heard."""
        self._stop.touch()
        self.speaker.wait_for_line("^done", PATIENCE_S)
        lines = [line.partition(" ") for line in self.speaker.lines]
        spoken = [SENTENCES[rest].spoken for word, _, rest in lines if word == "spoken"]
        return spoken, [rest for word, _, rest in lines if word == "heard"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with Network(("client", *GATEWAYS, *WORKERS)) as network:
        system = System(network, tmp_path_factory.mktemp("hosts"))
        system.speaker.wait_for_line("^spoken", PATIENCE_S)
        yield system


FAULTS: Final = [("ver1", "tr1"), ("ver2", "tr2"), GATEWAYS]


@pytest.mark.parametrize("hosts", FAULTS, ids="+".join)
def test_killed_stages_are_gone_on_without(system: System, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        system.stages[host].kill()
        system.stages[host] = system.start(host)
    system.hears_another()


@pytest.mark.parametrize("hosts", FAULTS, ids="+".join)
def test_cut_links_are_gone_on_without(system: System, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        system.network.cut(host)
    time.sleep(CUT_S)  # that long, and not until something: it is what is claimed
    for host in hosts:
        system.network.mend(host)
    system.hears_another()


def test_every_sentence_was_heard_once_and_in_order(system: System) -> None:
    spoken, heard = system.finish()
    assert len(spoken) >= 8
    assert len(heard) == len(spoken), (spoken, heard)
    assert [
        text for said, text in zip(spoken, heard, strict=True) if not same_words(said, text)
    ] == []
