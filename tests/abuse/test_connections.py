"""Nobody stalls others by what is no message: pings, fragments, handshakes, idle sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from websockets.frames import OP_BINARY, OP_CONT, OP_PING, Frame

from tests.abuse.scene import ABUSER, Scene, closing
from tests.faults.crowd import until
from tests.processes import ROOT, free_port, wait_until

UPGRADE: Final = (
    b"GET /?events=integrity HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


def wire(opcode: int, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)  # type: ignore[arg-type]


PINGS: Final = wire(OP_PING, b"x" * 100) * 200
FRAGMENTS: Final = wire(OP_BINARY, b"", fin=False) + wire(OP_CONT, b"", fin=False) * 4_000


class RawClient:
    """A TCP connection that sends whatever it likes, and may not read."""

    def __init__(self, port: int, *, reads: bool = True) -> None:
        self.closed = False
        self.received = b""
        self._reads = reads
        self._port = port

    async def connect(self) -> RawClient:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(ABUSER, 0)
        )
        return self

    async def pour(self, data: bytes, first: bytes = UPGRADE) -> None:
        """Send until the other side has had enough."""
        reading = asyncio.create_task(self._read()) if self._reads else None
        with contextlib.suppress(OSError):
            self._writer.write(first)
            while not self._writer.is_closing() and not self.closed:
                self._writer.write(data)
                await self._writer.drain()
                await asyncio.sleep(0 if data else 0.05)
        self.closed = True
        if reading is not None:
            reading.cancel()

    async def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(65_536):
                self.received = (self.received + data)[-65_536:]
        self.closed = True

    def abort(self) -> None:
        self._writer.transport.abort()


async def poured_beside(
    scene: Scene, name: str, bound: str, data: bytes, *, reads: bool = True, first: bytes = UPGRADE
) -> None:
    """Three clients pour, and come again when they are cut off, while two others speak."""
    mark, met = scene.mark, scene.count(f"limits_met:{bound}")
    stop = asyncio.Event()

    async def abuse() -> None:
        while not stop.is_set():
            client = RawClient(scene.system.data_port, reads=reads)
            with contextlib.suppress(OSError):
                await client.connect()
                async with asyncio.timeout(5):
                    await client.pour(data, first)
                client.abort()
            await asyncio.sleep(0.1)

    abusers = [asyncio.create_task(abuse()) for _ in range(3)]
    async with scene.beside(name):
        await scene.until_count(f"limits_met:{bound}", lambda count: count > met)
    stop.set()
    for abuser in abusers:
        abuser.cancel()
    await asyncio.gather(*abusers, return_exceptions=True)
    await until(lambda: scene.lines_with(ABUSER, mark), "a line names the abuser", 60)
    lines = scene.lines_with("is cut off", mark)
    assert lines
    assert len(lines) < 60, "within a budget"


async def test_a_ping_flood_is_cut_off(scene: Scene) -> None:
    await poured_beside(scene, "a ping flood", "control_frames", PINGS)


async def test_pings_of_who_never_reads_are_cut_off(scene: Scene) -> None:
    before_mib = scene.rss_mib
    await poured_beside(scene, "pings, never reading", "control_frames", PINGS, reads=False)
    assert scene.rss_mib < before_mib + 64


async def test_empty_fragments_are_cut_off(scene: Scene) -> None:
    before_mib = scene.rss_mib
    await poured_beside(scene, "empty continuation frames", "fragments", FRAGMENTS)
    assert scene.rss_mib < before_mib + 64


async def test_handshakes_that_do_not_end_are_cut_off(scene: Scene) -> None:
    header = b"X-Long: " + b"a" * 8_000 + b"\r\n"
    await poured_beside(
        scene,
        "handshakes without end",
        "handshake_bytes",
        header,
        first=b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    )


async def test_half_messages_count_for_the_bound_of_memory(scene: Scene) -> None:
    """Each is within the size of a message, and never ends."""
    half = wire(OP_BINARY, bytes(3 << 20))[: 2 << 20]
    before_mib, met = scene.rss_mib, scene.count("limits_met:memory")
    async with scene.beside("half messages of 3 MiB"), contextlib.AsyncExitStack() as stack:
        abusers = []
        for _ in range(3):
            abuser = await stack.enter_async_context(scene.data("?events=integrity"))
            abuser.transport.write(half)
            abusers.append(abuser)
        ends = [asyncio.create_task(closing(abuser)) for abuser in abusers]
        done, others = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        code, reason = done.pop().result()
        assert code == 1008
        assert "more is waiting" in reason
        assert scene.count("limits_met:memory") > met
        for end in others:  # who is left is within the bound, and goes on
            end.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    assert scene.rss_mib < before_mib + 64


async def test_connecting_again_and_again_is_answered_with_429(scene: Scene) -> None:
    met = scene.count("limits_met:address_rate")
    answers: set[bytes] = set()

    async def knock() -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", scene.system.data_port, local_addr=(ABUSER, 0)
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answers.add((await reader.read(64)).partition(b"\r\n")[0])
            writer.transport.abort()

    async with scene.beside("connects without end"):
        while scene.count("limits_met:address_rate") <= met:
            await asyncio.gather(*(knock() for _ in range(20)))
    assert any(b"429" in answer for answer in answers)


# -- a gateway of its own --------------------------------------------------------------------------


@contextmanager
def gateway_with(
    folder: Path, *options: str, files: int = 1_024
) -> Iterator[tuple[psutil.Process, int, int, Path]]:
    """A gateway alone, with this hard limit of open files: process, data and metrics port, log."""
    data_port, metrics_port = free_port(), free_port()
    log = folder / "log"
    command = (
        f"ulimit -n {files}; exec {sys.executable} -m gateway --run-dir {folder / 'run'} "
        f"--data_port {data_port} --control_port {free_port()} --metrics-port {metrics_port} "
        f"--drain-timeout 1 {' '.join(options)}"
    )
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=ROOT, stdout=output, stderr=output, env={**os.environ}
        )
    try:
        try:
            wait_until(lambda: "is ready" in log.read_text(), "the gateway is ready", 60)
        except AssertionError as late:
            raise AssertionError(f"{late}:\n{log.read_text()}") from None
        yield psutil.Process(process.pid), data_port, metrics_port, log
    finally:
        process.kill()
        process.wait()


@contextmanager
def idle_sockets(port: int, count: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        sockets = []
        for number in range(count):
            source = (f"127.0.1.{number % 250 + 1}", 0)
            one = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), source_address=source)
            )
            one.sendall(first)
            sockets.append(one)
        yield sockets


def answers(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    return ask


def test_idle_sockets_leave_files_for_the_links(folder: Path) -> None:
    with gateway_with(folder, files=256) as (process, data_port, metrics_port, log):
        assert "for a limit of 256 open files" in log.read_text()
        with idle_sockets(data_port, 240):
            wait_until(answers(metrics_port), "it answers", 30)
            assert process.num_fds() < 256 - 64
            assert "is cut off: the server has its" in log.read_text()
        assert process.is_running()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_stop_waits_for_nobody_who_does_not_answer(folder: Path) -> None:
    """Neither who has a session nor who has said nothing yet, for which he has a minute."""
    options = ("--max-sessions", "200", "--handshake-timeout", "60")
    with (
        gateway_with(folder, *options) as (process, data_port, _, _),
        idle_sockets(data_port, 50),
        idle_sockets(data_port, 150, UPGRADE) as sockets,
    ):
        for one in sockets:
            assert one.recv(12) == b"HTTP/1.1 101"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, "well before a supervisor loses patience"
