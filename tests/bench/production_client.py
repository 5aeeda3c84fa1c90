"""A client of RealtimeSTT's production server: turns of audio, each answered by one final."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.system import server
from tests.processes import StageProcess, wait_until

PATH = "/api/v1/ws/transcribe"
OPEN_TIMEOUT_S = 60
"""It makes a session's recorder on its event loop, so that one waits for those of the others."""


@contextlib.contextmanager
def production(engine: str) -> Iterator[tuple[str, StageProcess]]:
    """Start the server; its URL and process, once its engines are warm.

    Who connects earlier is not told when they are.
    """
    with server("tests.bench.production_server", engine) as (url, process):
        address = url.replace("ws://", "http://") + "/api/v1/ready"
        wait_until(lambda: _answers(address), "the production server is ready", poll_s=0.1)
        yield url, process


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


class Turns:
    """One connection; one turn at a time."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def start(self) -> None:
        """Begin a turn; the next message is frame 0."""
        await self._websocket.send('{"type":"start"}')
        await self.hear("started")

    async def send(self, message: bytes) -> None:
        """Send one frame."""
        await self._websocket.send(message)

    async def finish(self) -> None:
        """End the turn and wait for its text."""
        await self._websocket.send('{"type":"finalize"}')
        await self.hear("final")

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next event of a kind.

        Raises:
            RuntimeError: the server reports an error.
        """
        while True:
            event: dict[str, Any] = json.loads(await self._websocket.recv())
            if event["type"] == "error":
                raise RuntimeError(f"the production server answered {event}")
            if event["type"] == kind:
                return event


@contextlib.asynccontextmanager
async def turns(url: str) -> AsyncIterator[Turns]:
    """Connect to ``ws://HOST:PORT`` and wait until the server is ready."""
    async with connect(
        url + PATH, compression=None, ping_interval=None, open_timeout=OPEN_TIMEOUT_S
    ) as websocket:
        client = Turns(websocket)
        await client.hear("ready")
        yield client
        await client.hear("completion")
