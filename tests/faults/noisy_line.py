"""A line that damages what goes over it: a proxy between clients and the data port.

Binary messages to the server lose or flip bits, are cut short, have blocks swapped, come twice or
not at all, by a seeded choice; all else passes as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
from collections import Counter
from types import TracebackType
from typing import Final, Self

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

BLOCK_BYTES: Final = 64


class Damage(enum.StrEnum):
    """What becomes of a message."""

    FLIP = "bits flipped"
    FLIP_HEADER = "a bit of the metadata flipped"
    CUT = "cut short"
    SWAP = "blocks swapped"
    REPEAT = "sent twice"
    DROP = "dropped"


class NoisyLine:
    """Serves ``ws://127.0.0.1:PORT`` and passes everything on to ``url``.

    Args:
        share: how many of the messages are damaged, from 0 to 1.

    Attributes:
        done: how many messages were damaged, by kind.
        messages: how many there were.
    """

    def __init__(self, url: str, rng: random.Random, share: float) -> None:
        self.done: Counter[Damage] = Counter()
        self.messages = 0
        self._upstream = url
        self._rng = rng
        self._share = share
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """For clients."""
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, compression=None, max_size=None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, client: ServerConnection) -> None:
        assert client.request is not None
        url = self._upstream + client.request.path
        async with connect(url, compression=None, max_size=None) as server:

            async def up() -> None:
                with contextlib.suppress(ConnectionClosed):
                    async for message in client:
                        parts = [message] if isinstance(message, str) else self._noise(message)
                        for part in parts:
                            await server.send(part)
                await server.close()

            upwards = asyncio.create_task(up())
            with contextlib.suppress(ConnectionClosed):
                async for message in server:
                    await client.send(message)
            await client.close(server.close_code or 1000, server.close_reason or "")
            upwards.cancel()
            await asyncio.gather(upwards, return_exceptions=True)

    def _noise(self, message: bytes) -> list[bytes]:
        """What arrives of a message."""
        self.messages += 1
        rng = self._rng
        if rng.random() >= self._share:
            return [message]
        damage = rng.choice(list(Damage))
        self.done[damage] += 1
        raw = bytearray(message)
        match damage:
            case Damage.FLIP:
                for _ in range(rng.randint(1, 8)):
                    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            case Damage.FLIP_HEADER:
                header = 4 + int.from_bytes(raw[:4], "little")
                raw[rng.randrange(header)] ^= 1 << rng.randrange(8)
            case Damage.CUT:
                del raw[rng.randrange(len(raw)) :]
            case Damage.SWAP:
                a, b = (rng.randrange(len(raw) // BLOCK_BYTES) * BLOCK_BYTES for _ in range(2))
                first, second = raw[a : a + BLOCK_BYTES], raw[b : b + BLOCK_BYTES]
                raw[a : a + BLOCK_BYTES], raw[b : b + BLOCK_BYTES] = second, first
            case Damage.REPEAT:
                return [message, message]
            case Damage.DROP:
                return []
        return [bytes(raw)]
