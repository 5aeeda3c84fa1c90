"""The bare WebSockets of a client, for tests of what the ports themselves do."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.client.frames import FrameBuilder
from tests.faults.system import System

HOST: Final = "ws://127.0.0.1"
ANSWER_TIMEOUT_S: Final = 20.0
FRAME_SAMPLES: Final = 1024
RATE_HZ: Final = 16_000


class Control:
    """A control connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: str | bytes) -> dict[str, Any]:
        """The reply to a message."""
        await self.connection.send(message)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reply: dict[str, Any] = json.loads(await self.connection.recv())
        return reply

    async def ask(self, command: str, **fields: object) -> dict[str, Any]:
        """The reply to a command."""
        return await self.send(json.dumps({"command": command, **fields}))

    async def set(self, parameter: str, value: object) -> dict[str, Any]:
        """The reply to ``set_parameter``."""
        return await self.ask("set_parameter", parameter=parameter, value=value)

    async def get(self, parameter: str) -> Any:
        """A parameter's value."""
        reply = await self.ask("get_parameter", parameter=parameter, request_id=7)
        assert reply.pop("request_id") == 7
        assert reply.pop("status") == "success", reply
        return reply["value"]


class Data:
    """A data connection and all that it has received."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self._builder = FrameBuilder()
        self._frames = 0

    @property
    def types(self) -> set[str]:
        """Types of the events so far."""
        return {event["type"] for event in self.events}

    async def until(self, event_type: str) -> dict[str, Any]:
        """The next event of a type; those before it are kept in ``events``."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                event: dict[str, Any] = json.loads(await self.connection.recv())
                self.events.append(event)
                if event["type"] == event_type:
                    return event

    async def until_closed(self) -> int:
        """The close code; what came before is kept in ``events``."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            with contextlib.suppress(ConnectionClosed):
                async for message in self.connection:
                    self.events.append(json.loads(message))
        assert self.connection.close_code is not None
        return self.connection.close_code

    async def say(self, pcm: bytes) -> None:
        """Send PCM in frames with checksums."""
        for start in range(0, len(pcm), 2 * FRAME_SAMPLES):
            await self.connection.send(self.frame(pcm[start : start + 2 * FRAME_SAMPLES]))

    def frame(self, pcm: bytes, *, skip: int = 0) -> bytes:
        """The next frame, numbered as if ``skip`` were lost before it."""
        number = self._frames + skip
        self._frames = number + 1
        return self._builder.build(pcm, number=number, sample_rate_hz=RATE_HZ, timestamp_ms=0)

    async def end(self) -> None:
        """Say that no more audio follows."""
        await self.connection.send('{"type":"end"}')


@asynccontextmanager
async def control_of(system: System, query: str = "") -> AsyncIterator[Control]:
    """Open a control connection."""
    async with connect(f"{HOST}:{system.control_port}/{query}") as connection:
        yield Control(connection)


@asynccontextmanager
async def data_of(system: System, query: str = "") -> AsyncIterator[Data]:
    """Open a data connection."""
    async with connect(f"{HOST}:{system.data_port}/{query}", compression=None) as connection:
        yield Data(connection)


@asynccontextmanager
async def session_of(system: System) -> AsyncIterator[tuple[Data, str]]:
    """Open a data connection with integrity events, and its session's id."""
    async with data_of(system, "?events=integrity") as data:
        started = await data.until("session")
        yield data, started["session"]
