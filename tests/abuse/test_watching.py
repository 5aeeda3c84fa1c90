"""Nobody stalls a stage through what watches it: its log and its metrics port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from common.telemetry import MAX_REQUESTS
from tests.abuse.conftest import MAX_SESSIONS
from tests.abuse.scene import Scene
from tests.faults.crowd import CHUNK_BYTES, until
from tests.faults.test_overload import frames_of

FLOODERS: Final = 30
"""With 20 logged failures each, they say more than a pipe holds."""
PIPE_BYTES: Final = 65_536
AT_ONCE: Final = MAX_SESSIONS // 2
FRAMES: Final = 30
SILENT: Final = 3 * 32


def answer(port: int, path: str, host: str = "localhost") -> tuple[int, str]:
    """Status and body of a request to the metrics port."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        got = b""
        while data := connection.recv(65_536):
            got += data
    head, _, body = got.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_a_log_that_nobody_reads_stalls_nobody(scene: Scene) -> None:
    """As when the supervisor is stopped with Ctrl-Z."""
    gateway = scene.system.gateway
    port, mark = gateway.metrics_port(), scene.mark
    with gateway.process.unread():
        async with scene.beside("a log that nobody reads, and much to say"):
            for begun in range(0, FLOODERS, AT_ONCE):
                now = min(AT_ONCE, FLOODERS - begun)
                await asyncio.gather(*(flood(scene) for _ in range(now)))
            assert (await asyncio.to_thread(answer, port, "/healthz"))[0] == 200

    def said() -> int:
        return sum(len(line) + 1 for line in gateway.process.lines[mark:])

    await until(lambda: said() > PIPE_BYTES, "more was said than the pipe held", 60)
    assert scene.lines_with("Data integrity check failed", mark)


async def flood(scene: Scene) -> None:
    """One connection whose frames are all corrupt, and judged."""
    async with scene.data("?events=integrity") as connection:
        judged = 0
        for frame in frames_of(bytes(FRAMES * CHUNK_BYTES)):
            await connection.send(frame[:-2] + b"xx")
        while judged < FRAMES:
            judged += '"verdict"' in str(await asyncio.wait_for(connection.recv(), 60))


async def test_silent_sockets_on_the_metrics_port_blank_nothing(scene: Scene) -> None:
    port = scene.system.gateway.metrics_port()
    before = scene.slow_requests
    async with scene.beside("silent sockets on the metrics port"):
        with contextlib.ExitStack() as stack:
            for _ in range(SILENT):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await asyncio.to_thread(answer, port, path))[0] == 200
    assert scene.slow_requests >= before + SILENT - MAX_REQUESTS, "cut for those that came later"


async def test_a_rebound_name_reads_no_metrics(scene: Scene) -> None:
    port = scene.system.gateway.metrics_port()
    status, body = await asyncio.to_thread(answer, port, "/metrics", "evil.example")
    assert status == 421
    assert "--server-name" in body
    assert "stt_gateway" not in body
