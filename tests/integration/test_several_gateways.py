"""``deploy/stt-server --gateways 2``: one pair of ports, two gateways, either of which may die.

What the null engine hears is a sentence's length to the sample: that is compared with a quiet run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect as connect_raw
from websockets.exceptions import ConnectionClosed

from common.client import ControlClient
from common.client.stream import Stream, connect
from deploy.steer import StageStatus
from deploy.steer import System as RunningSystem
from tests.faults.clips import speech
from tests.faults.crowd import Talker, until
from tests.faults.cut import CuttableProxy
from tests.integration.fake_stages import assert_all_gone, command, stage_pids, start_server
from tests.processes import ROOT, StageProcess, Stages, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class System(NamedTuple):
    """A running system with two gateways."""

    server: StageProcess
    run_dir: str
    data_port: int
    control_url: str
    api_port: int
    wyoming_port: int

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

    def rows(self) -> dict[str, StageStatus]:
        """What ``status`` shows, by name."""
        return {row.name: row for row in RunningSystem(self.run_dir).status()}

    def wait_ready(self) -> None:
        """Wait until every stage is."""
        wait_until(
            lambda: {row.state for row in self.rows().values()} == {"ready"}, "all are ready"
        )


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with Stages() as stages:
        run_dir = stages.run_dir / "run"
        data, control = free_port(), free_port()
        options = ("--data_port", str(data), "--control_port", str(control), "--gateways", "2")
        api, wyoming = free_port(), free_port()
        more = ("--api-port", str(api), "--wyoming-port", str(wyoming))
        server = start_server(
            run_dir, *options, *more, "--verify-data-integrity", "--engine", "null"
        )
        server.wait_for_line(r"\| READY after", 120.0)
        pids = stage_pids(server)
        system = System(server, str(run_dir), data, f"ws://127.0.0.1:{control}", api, wyoming)
        system.wait_ready()
        yield system
        assert server.terminate() == 0
        assert_all_gone(pids)
        assert not run_dir.exists()


def relayed(system: System) -> tuple[float, float, float]:
    """Control connections passed on and taken in, and bytes from clients, of both gateways."""
    by_direction = [
        ("stt_gateway_relayed_connections_total", {"port": "control", "direction": direction})
        for direction in ("passed_on", "taken_in")
    ]
    wanted = [*by_direction, ("stt_gateway_relayed_bytes_total", {"direction": "from_client"})]
    sums = [0.0, 0.0, 0.0]
    for name, row in system.rows().items():
        if not name.startswith("gateway"):
            continue
        with urllib.request.urlopen(row.metrics_url, timeout=10) as response:
            text = response.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for number, (metric, labels) in enumerate(wanted):
                    if sample.name == metric and sample.labels == labels:
                        sums[number] += sample.value
    passed_on, taken_in, size = sums
    return passed_on, taken_in, size


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
        pid = (await asyncio.to_thread(system.rows))[home].pid
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
    """All passed-on connections were taken in; that none of eight was has a chance of 1 in 256."""
    before = await asyncio.to_thread(relayed, system)
    async with connect(system.url) as stream:
        for number in range(8):
            async with ControlClient(system.control_url, session=stream.session) as control:
                await control.set_parameter("post_speech_silence_duration", 0.5 + number / 10)
                value = await control.get_parameter("post_speech_silence_duration")
                assert value == 0.5 + number / 10
    passed_on, taken_in, size = await asyncio.to_thread(relayed, system)
    assert passed_on - before[0] == taken_in - before[1] > 0
    assert size > before[2]


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
    talker = Talker(speech(2, 2))
    quiet = Talker(talker.pcm)
    await quiet.talk(system.url)
    async with asyncio.timeout(200), talker.connect(system.url):
        await talker.say(len(talker.pcm) // 2)
        assert "now 3" in await asyncio.to_thread(system.steer, "scale", "gateways", "3")
        await asyncio.to_thread(system.wait_ready)
        assert set(await asyncio.to_thread(system.rows)) >= {"gateway", "gateway-2", "gateway-3"}
        await asyncio.to_thread(system.steer, "scale", "gateways", "2")
        await talker.say()
        await talker.finish()
    assert talker.sentences == quiet.sentences


def server_of(connection: socket.socket) -> int:
    """The process at the other end of a connection on this machine; 0 before it accepted."""
    ours, theirs = connection.getsockname(), connection.getpeername()
    for found in psutil.net_connections("tcp"):
        if found.raddr and (tuple(found.laddr), tuple(found.raddr)) == (theirs, ours):
            return found.pid or 0
    return 0


def one_to_each(port: int, pids: set[int]) -> dict[int, socket.socket]:
    """Connections to a port, one that each process has; the kernel deals them out."""
    found: dict[int, socket.socket] = {}
    while found.keys() != pids:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        wait_until(lambda: server_of(connection), "it is accepted")  # noqa: B023
        pid = server_of(connection)
        if pid in found:
            connection.close()
        else:
            found[pid] = connection
    return found


@pytest.mark.parametrize(
    "port, question, answer",
    [
        ("api_port", b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 OK"),
        ("wyoming_port", b'{"type": "describe"}\n', b'"info"'),
    ],
)
def test_both_gateways_answer_on_the_ports_of_other_protocols(
    system: System, port: str, question: bytes, answer: bytes
) -> None:
    gateways = {row.pid for name, row in system.rows().items() if name.startswith("gateway")}
    assert len(gateways) == 2
    for connection in one_to_each(getattr(system, port), gateways).values():
        with connection:
            connection.sendall(question)
            assert answer in connection.recv(4096)


async def test_an_openai_client_of_a_gateway_that_is_killed_begins_again_with_the_other(
    system: System,
) -> None:
    """Its protocol knows no resuming: it is told at once that its stream is over."""
    url = f"ws://127.0.0.1:{system.api_port}/v1/realtime?intent=transcription"
    async with asyncio.timeout(100):
        async with connect_raw(url) as websocket:
            assert "session.created" in str(await websocket.recv())
            pid = await asyncio.to_thread(server_of, websocket.transport.get_extra_info("socket"))
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
        await asyncio.to_thread(wait_until, lambda: not psutil.pid_exists(pid), "it is gone")
        async with connect_raw(url) as websocket:
            assert "session.created" in str(await websocket.recv())
            socket_ = websocket.transport.get_extra_info("socket")
            assert await asyncio.to_thread(server_of, socket_) != pid
    await asyncio.to_thread(system.wait_ready)


def test_engine_processes_that_nobody_would_ask_are_not_started(system: System) -> None:
    """The transcribers of a system without --engines have theirs within."""
    assert not system.steer("scale", "engines", "1")
    assert not any(name.startswith("engine") for name in system.rows())
