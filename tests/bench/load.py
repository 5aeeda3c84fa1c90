"""A load generator in a process of its own: ``python -m tests.bench.load URL CONNECTIONS FRAMES``.

Sends prepared frames as fast as the server takes them, over all connections alike, says that the
streams end, and waits until the server closed them (our gateway) or took everything (others).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from common.events import END_OF_STREAM
from tests.bench import frames

PREPARED = 64


async def _stream(url: str, messages: list[bytes], count: int, wait_for_close: bool) -> None:
    async with connect(url, compression=None, ping_interval=None) as websocket:
        reader = asyncio.create_task(_read(websocket.recv))
        for number in range(count):
            await websocket.send(messages[number % PREPARED])
        if wait_for_close:
            await websocket.send(END_OF_STREAM)
            await reader
        else:
            await (await websocket.ping())  # answered once all before it was read
            reader.cancel()


async def _read(receive: object) -> None:
    assert callable(receive)
    try:
        while True:
            await receive()
    except ConnectionClosed:
        pass


async def main(url: str, connections: int, total: int, wait_for_close: bool) -> None:
    """Run the load and print its rate."""
    messages = [frames.message(number) for number in range(PREPARED)]
    started = time.perf_counter()
    await asyncio.gather(
        *(_stream(url, messages, total // connections, wait_for_close) for _ in range(connections))
    )
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": total, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "close"))
