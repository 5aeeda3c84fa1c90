"""An open-loop load: frames at a rate that does not depend on how fast they are taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from websockets.asyncio.client import connect

from common.events import END_OF_STREAM
from tests.bench import frames


async def stream(
    url: str,
    *,
    connections: int,
    rate: float,
    total: int,
    before: Mapping[int, Callable[[], Awaitable[None]]] | None = None,
) -> None:
    """Send ``total`` frames, ``rate`` a second, over all connections in turn, to their end.

    Args:
        before: what to do before a frame of that number is sent.
    """
    clients = [await connect(url, compression=None, ping_interval=None) for _ in range(connections)]
    started = time.perf_counter()
    for number in range(total):
        if before and number in before:
            await before[number]()
        ahead_s = started + number / rate - time.perf_counter()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        sequence, client = divmod(number, connections)
        await clients[client].send(frames.streamed(sequence))
    for websocket in clients:
        await websocket.send(END_OF_STREAM)
    for websocket in clients:
        await websocket.wait_closed()
