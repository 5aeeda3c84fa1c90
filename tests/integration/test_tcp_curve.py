"""The stages linked by tcp with CURVE keys, as on several hosts or in containers."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from common.addresses import Target
from common.client.stream import connect
from common.curve import Role, add_host, make_keys, revoke_host
from common.events import FullSentence
from common.links import LinkEnd, Links
from common.settings import GatewaySettings
from deploy.demo_parts import same_words
from deploy.health import health, sample
from tests.processes import Stages, free_port, wait_until
from tests.speech import SENTENCES, load, silence

GATEWAYS: Final = (LinkEnd.FRAMES_IN, LinkEnd.VERDICTS_OUT, LinkEnd.RESULTS_OUT)
TRANSCRIBERS: Final = (LinkEnd.AUDIO_OUT, LinkEnd.COMMANDS_OUT)
"""The ends that connect, by who binds the other one; frames, verdicts and results in this order."""
HANDSHAKES: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH


class System(NamedTuple):
    """Stages that share nothing but addresses and keys."""

    stages: Stages
    links: tuple[str, ...]
    endpoints: dict[LinkEnd, str]
    data_url: str
    gateway_metrics_url: str


def links_to(host: str, ports: tuple[int, int, int]) -> tuple[str, ...]:
    names = ("--frames", "--verdicts", "--results")
    return tuple(
        word
        for name, port in zip(names, ports, strict=True)
        for word in (name, f"tcp://{host}:{port}")
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def system(keys: Path) -> Iterator[System]:
    ports = (free_port(), free_port(), free_port())
    at = {end: f"tcp://127.0.0.1:{port}" for end, port in zip(GATEWAYS, ports, strict=True)}
    at |= {end: f"tcp://127.0.0.1:{free_port()}" for end in TRANSCRIBERS}
    data, control, metrics = free_port(), free_port(), free_port()
    links = links_to("localhost", ports)
    with Stages() as stages:
        stages.start(
            "gateway",
            *links_to("*", ports),
            *("--curve-dir", str(keys), "--metrics-port", str(metrics)),
            *("--data_port", str(data), "--control_port", str(control)),
            "--verify-data-integrity",
        )
        for _ in range(2):
            stages.start("verifier", *links, "--curve-dir", str(keys))
        stages.start(
            "transcriber",
            *(*links, "--curve-dir", str(keys)),
            *("--audio", at[LinkEnd.AUDIO_OUT], "--commands", at[LinkEnd.COMMANDS_OUT]),
            *("--advertise-host", "localhost"),
        )
        url = f"http://127.0.0.1:{metrics}"
        wait_until(lambda: health(url).ready, "the gateway is ready", 120.0)
        yield System(stages, links, at, f"ws://127.0.0.1:{data}", url)


async def heard(url: str, pcm: bytes) -> str:
    """The text of a stream that is sent as fast as it is taken."""
    async with asyncio.timeout(120):
        async with connect(url) as stream:
            await stream.send(pcm)
            await stream.finish()
            sentences = [e.text async for e in stream if isinstance(e, FullSentence)]
            assert stream.verdicts.corrupt == 0
            assert stream.verdicts.ok == stream.frames
    return " ".join(sentences)


async def test_speech_is_verified_and_transcribed_over_encrypted_links(system: System) -> None:
    sentence = SENTENCES["coffee"]
    text = await heard(system.data_url, silence(0.5) + load("coffee") + silence(1.5))
    assert same_words(sentence.spoken, text)


def test_no_socket_file_is_needed(system: System) -> None:
    assert not list(system.stages.run_dir.glob("*.sock"))


def test_a_verifier_with_other_keys_never_joins(system: System, keys: Path, tmp_path: Path) -> None:
    before = sample(system.gateway_metrics_url, ("stt_gateway_verifiers",))
    assert before == 2
    stranger = system.stages.start(
        "verifier",
        *(*system.links, "--curve-dir", str(make_keys(tmp_path))),
        *("--metrics-port", str(port := free_port())),
    )
    wait_until(lambda: health(f"http://127.0.0.1:{port}").reason != "no answer", "it runs")
    friend = system.stages.start("verifier", *system.links, "--curve-dir", str(keys))
    wait_until(
        lambda: sample(system.gateway_metrics_url, ("stt_gateway_verifiers",)) == 3,
        "a verifier with the right keys, started later, has joined",
    )
    assert not health(f"http://127.0.0.1:{port}").ready
    for process in (stranger, friend):
        process.terminate()


def test_a_stolen_verifier_key_is_no_transcribers(
    system: System, keys: Path, tmp_path: Path
) -> None:
    """As who has a verifier's host would do it: a real transcriber, with the verifier's pair."""
    stolen = shutil.copytree(keys / Role.VERIFIER, tmp_path / "stolen")
    gateway = system.stages.processes[0]
    joined = len(re.findall(r"transcriber \S+ joined", gateway.output))
    forger = system.stages.start(
        "transcriber",
        *(*system.links, "--curve-dir", str(stolen), "--engine", "null"),
        *("--audio", "tcp://*:*", "--commands", "tcp://*:*", "--advertise-host", "localhost"),
    )
    gateway.wait_for_line("refused a key from .*: it is not admitted as a transcriber")
    assert len(re.findall(r"transcriber \S+ joined", gateway.output)) == joined
    forger.kill()


@pytest.mark.parametrize("end", [*GATEWAYS, *TRANSCRIBERS], ids=lambda end: end.name.lower())
def test_a_link_opens_for_the_key_of_the_role_at_its_other_end_and_for_no_other(
    system: System, keys: Path, tmp_path: Path, end: LinkEnd
) -> None:
    """As who stole a host's keys would do it: a socket of the link's own kind, at the real port."""
    for role in Role:
        stolen = shutil.copytree(keys / role, tmp_path / role)
        found = handshake(end, system.endpoints[end], stolen)
        expected = (
            zmq.EVENT_HANDSHAKE_FAILED_AUTH if role != end.role else zmq.EVENT_HANDSHAKE_SUCCEEDED
        )
        assert found == expected, f"a {role}'s key"


def handshake(end: LinkEnd, endpoint: str, keys: Path) -> zmq.Event:
    """How a connection to a link with these keys ends."""
    links = Links(GatewaySettings(curve_dir=str(keys)))
    fan = links.open_fan(end, is_tcp=True)
    events = fan.socket.get_monitor_socket(HANDSHAKES)
    try:
        fan.lead_to([Target(endpoint, endpoint)])
        assert events.poll(30_000), "the handshake ends"
        return zmq.Event(recv_monitor_message(events)["event"])
    finally:
        fan.socket.disable_monitor()
        events.close()
        links.close_all()


def test_one_hosts_key_is_added_and_revoked_while_all_runs(system: System, keys: Path) -> None:
    def verifiers() -> float | None:
        return sample(system.gateway_metrics_url, ("stt_gateway_verifiers",))

    before = verifiers()
    assert before is not None
    gateway = system.stages.processes[0]
    folder = add_host(keys, Role.VERIFIER, "second-host")
    host = system.stages.start("verifier", *system.links, "--curve-dir", str(folder))
    wait_until(lambda: verifiers() == before + 1, "the host that was added has joined")
    revoke_host(keys, Role.VERIFIER, "second-host")
    gateway.wait_for_line("a verifier key was revoked: cut")
    wait_until(lambda: verifiers() == before, "and is gone, though it still runs and tries", 60.0)
    assert host.alive
    host.terminate()


def test_a_tcp_link_without_keys_is_refused_with_what_to_do(system: System) -> None:
    careless = system.stages.start("verifier", *system.links)
    assert careless.wait() == 2
    assert "a tcp:// link needs --curve-dir" in careless.output
