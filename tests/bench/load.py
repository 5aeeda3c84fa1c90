"""A load generator in a process of its own: ``python -m tests.bench.load KIND URL N FRAMES``.

Sends frames as fast as the server takes them, over N connections alike, and waits until the server
is done with them. Every kind of server is sent the same bytes.
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
from tests.bench.production_client import turns

TURN_FRAMES = 400
"""RealtimeSTT's production server takes at most 120 s of audio in a turn; these are 102 s."""


async def _pipeline(url: str, count: int) -> None:
    """The server closes the connection when everything was taken to its end."""
    async with connect(url, compression=None, ping_interval=None) as websocket:
        reader = asyncio.create_task(_read(websocket.recv))
        for number in range(count):
            await websocket.send(frames.streamed(number))
        await websocket.send(END_OF_STREAM)
        await reader


async def _plain(url: str, count: int) -> None:
    """A ping is answered once all before it was read."""
    async with connect(url, compression=None, ping_interval=None) as websocket:
        reader = asyncio.create_task(_read(websocket.recv))
        for number in range(count):
            await websocket.send(frames.streamed(number))
        await (await websocket.ping())
        reader.cancel()


async def _production(url: str, count: int) -> None:
    """Turn after turn; each ends with a final."""
    async with turns(url) as client:
        for first in range(0, count, TURN_FRAMES):
            if first:
                await client.hear("completion")
            await client.start()
            for number in range(min(TURN_FRAMES, count - first)):
                await client.send(frames.streamed(number))
            await client.finish()


async def _read(receive: object) -> None:
    assert callable(receive)
    try:
        while True:
            await receive()
    except ConnectionClosed:
        pass


KINDS = {"pipeline": _pipeline, "plain": _plain, "production": _production}


async def main(kind: str, url: str, connections: int, total: int) -> None:
    """Run the load and print its rate."""
    stream = KINDS[kind]
    each = total // connections
    frames.streamed(0)  # the audio is made before the clock starts
    started = time.perf_counter()
    await asyncio.gather(*(stream(url, each) for _ in range(connections)))
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": each * connections, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
