"""``deploy/stt-server --gateways 2``: one pair of ports, two gateways, either of which may die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from common.client import ControlClient
from common.client.stream import Stream, connect
from common.events import FullSentence
from deploy.demo_parts import same_words
from tests.faults.clips import speech
from tests.faults.crowd import Talker, until
from tests.faults.cut import CuttableProxy
from tests.integration.fake_stages import assert_all_gone, command, stage_pids, start_server
from tests.processes import ROOT, StageProcess, Stages, free_port, wait_until
from tests.speech import SENTENCES, load, silence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class System(NamedTuple):
    """A running system with two gateways."""

    server: StageProcess
    run_dir: str
    data_port: int
    control_url: str

    @property
    def url(self) -> str:
        """Of the data port."""
        return f"ws://127.0.0.1:{self.data_port}"

    def steer(self, *arguments: str) -> str:
        """What a subcommand prints."""
        return subprocess.run(
            command(*arguments, "--run-dir", self.run_dir),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        ).stdout

    def rows(self) -> dict[str, dict[str, Any]]:
        """What ``status`` shows, by name."""
        return {row["name"]: row for row in json.loads(self.steer("status", "--json"))}

    def wait_ready(self) -> None:
        """Wait until every stage is."""
        wait_until(
            lambda: {row["state"] for row in self.rows().values()} == {"ready"}, "all are ready"
        )


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with Stages() as stages:
        run_dir = stages.run_dir / "run"
        data, control = free_port(), free_port()
        options = ("--data_port", str(data), "--control_port", str(control), "--gateways", "2")
        server = start_server(run_dir, *options, "--verify-data-integrity")
        server.wait_for_line(r"\| READY after", 120.0)
        pids = stage_pids(server)
        system = System(server, str(run_dir), data, f"ws://127.0.0.1:{control}")
        system.wait_ready()
        yield system
        assert server.terminate() == 0
        assert_all_gone(pids)
        assert not run_dir.exists()


def home_of(stream: Stream) -> str:
    """The gateway that has a stream's session, as its id says."""
    number = bytes.fromhex(stream.session or "")[0]
    return "gateway" if number == 1 else f"gateway-{number}"


async def open_at(system: System, home: str, talker: Talker) -> Stream:
    """A stream whose session the kernel gave to that gateway."""
    while True:
        stream = await talker.connect(system.url).open()
        if home_of(stream) == home:
            return stream
        await stream.close()


@pytest.mark.parametrize("home", ["gateway", "gateway-2"])
async def test_a_client_of_a_gateway_that_is_killed_goes_on_with_another(
    system: System, home: str
) -> None:
    """Out of its own buffer, to the sample, so that no sentence is lost or comes twice."""
    talker = Talker(speech(0, 2), chunk_samples=3001)
    quiet = Talker(talker.pcm)
    await quiet.talk(system.url)
    stream = await open_at(system, home, talker)
    try:
        await talker.say(3 * len(talker.pcm) // 4)
        await until(lambda: len(talker.sentences) == 1, "there is one sentence")
        await until(lambda: talker.all_received, "all so far is with the recorder")
        pid = (await asyncio.to_thread(system.rows))[home]["pid"]
        os.kill(pid, signal.SIGKILL)
        await talker.say()
        await talker.finish()
    finally:
        await stream.close()
    assert talker.sentences == quiet.sentences
    assert (stream.reconnections >= 1, stream.lost_frames) == (True, 0)
    await asyncio.to_thread(system.wait_ready)


async def test_a_connection_that_is_lost_is_taken_up_in_its_session_wherever_it_lands(
    system: System,
) -> None:
    talker = Talker(speech(1, 2))
    quiet = Talker(talker.pcm)
    await quiet.talk(system.url)
    async with CuttableProxy(system.data_port) as proxy, talker.connect(proxy.url) as stream:
        session = talker.session
        for part in range(1, 8):  # the chance that all land at home is 1 in 128
            await talker.say(part * len(talker.pcm) // 8)
            proxy.cut()
            await until(lambda: not stream.connected, "the client notices")
            await until(lambda: stream.connected, "the client is back")
        await talker.say()
        await talker.finish()
    assert talker.session == session
    assert talker.sentences == quiet.sentences


async def test_commands_reach_their_session_wherever_they_land(system: System) -> None:
    async with connect(system.url) as stream:
        for number in range(8):
            async with ControlClient(system.control_url, session=stream.session) as control:
                await control.set_parameter("post_speech_silence_duration", 0.5 + number / 10)
                value = await control.get_parameter("post_speech_silence_duration")
                assert value == 0.5 + number / 10


async def test_the_two_connections_of_a_stock_client_meet(system: System) -> None:
    """Each in a process of its own, by which they are told apart."""
    program = "import sys; from tests.integration.stock_pair import main; main(*sys.argv[1:])"
    clients = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, system.url, system.control_url, str(number)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(6)
    ]
    for number, client in enumerate(clients):
        out, _ = await client.communicate()
        assert out.decode().strip() == str(0.6 + number / 10)


async def test_gateways_come_and_go_while_a_client_streams(system: System) -> None:
    sentence = SENTENCES["bridge"]
    pcm = silence(0.5) + load("bridge") + silence(1.5)
    half = len(pcm) // 4 * 2
    async with asyncio.timeout(200), connect(system.url, chunk_samples=512) as stream:
        await stream.send(pcm[:half])
        assert "now 3" in await asyncio.to_thread(system.steer, "scale", "gateways", "3")
        await asyncio.to_thread(system.wait_ready)
        assert set(await asyncio.to_thread(system.rows)) >= {"gateway", "gateway-2", "gateway-3"}
        await asyncio.to_thread(system.steer, "scale", "gateways", "2")
        await stream.send(pcm[half:])
        await stream.finish()
        texts = [event.text async for event in stream if isinstance(event, FullSentence)]
    assert same_words(sentence.spoken, " ".join(texts))
