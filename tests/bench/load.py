"""A load generator in a process of its own: ``python -m tests.bench.load KIND URL N FRAMES``.

Connects, says so, and waits for a line on standard input; then sends frames as fast as the server
takes them, over N connections alike, and waits until the server is done with them. Every kind of
server is sent the same bytes. With the kind ``steady`` sessions begin before and end after another
line, so that their frames alone can be measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from common.events import END_OF_STREAM
from tests.bench import frames
from tests.bench.production_client import turns
from tests.bench.system import LASTING

STARTING = asyncio.Semaphore(2)
"""Turns that begin at once: RealtimeSTT's production server refuses those over a few."""
PACED_PER_S = 1_500
"""Frames that paced streams send, all together."""
TURN_FRAMES = 400
"""RealtimeSTT's production server takes at most 120 s of audio in a turn; these are 102 s."""


class Gate:
    """Holds all streams back until each is connected and the word was given."""

    def __init__(self, streams: int) -> None:
        self.connected = asyncio.Barrier(streams + 1)
        self.go = asyncio.Event()
        self.sent = asyncio.Barrier(streams + 1)
        self.end = asyncio.Event()
        self.streams = streams
        self._places = itertools.count()

    def next_place(self) -> int:
        """Of a stream among all, from 0."""
        return next(self._places)

    async def wait(self) -> None:
        """Called by each stream once it is connected."""
        await self.connected.wait()
        await self.go.wait()

    async def wait_for_end(self) -> None:
        """Called by each steady stream once it has sent its frames."""
        await self.sent.wait()
        await self.end.wait()


async def _pipeline(url: str, count: int, gate: Gate) -> None:
    """The server closes the connection when everything was taken to its end."""
    async with connect(url, compression=None, ping_interval=None) as websocket:
        reader = asyncio.create_task(_read(websocket.recv))
        await gate.wait()
        for number in range(count):
            await websocket.send(frames.streamed(number))
        await websocket.send(END_OF_STREAM)
        await reader


async def _steady(url: str, count: int, gate: Gate, interval_s: float = 0.0) -> None:
    """A session that is in full swing: its first frame comes before ``count`` others.

    Args:
        interval_s: between two of them; 0: as fast as they are taken.
    """
    async with connect(url, compression=None, ping_interval=None) as websocket:
        reader = asyncio.create_task(_read(websocket.recv))
        await websocket.send(frames.streamed(0))
        await gate.wait()
        due_s = time.perf_counter() + interval_s * gate.next_place() / gate.streams
        for number in range(1, count + 1):
            if interval_s:
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                due_s += interval_s
            await websocket.send(frames.streamed(number))
        await (await websocket.ping())
        await gate.wait_for_end()
        await websocket.send(END_OF_STREAM)
        await reader


async def _paced(url: str, count: int, gate: Gate) -> None:
    """The same, at a rate that all streams have together, whatever their number."""
    await _steady(url, count, gate, interval_s=gate.streams / PACED_PER_S)


async def _plain(url: str, count: int, gate: Gate) -> None:
    """A ping is answered once all before it was read."""
    async with connect(url, compression=None, ping_interval=None) as websocket:
        reader = asyncio.create_task(_read(websocket.recv))
        await gate.wait()
        for number in range(count):
            await websocket.send(frames.streamed(number))
        await (await websocket.ping())
        reader.cancel()


async def _production(url: str, count: int, gate: Gate) -> None:
    """Turn after turn; each ends with a final."""
    async with turns(url) as client:
        await gate.wait()
        for first in range(0, count, TURN_FRAMES):
            if first:
                await client.hear("completion")
            async with STARTING:
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


KINDS = {
    "pipeline": _pipeline,
    "steady": _steady,
    "paced": _paced,
    "plain": _plain,
    "production": _production,
}


async def main(kind: str, url: str, connections: int, total: int) -> None:
    """Run the load and print its rate."""
    stream = KINDS[kind]
    each = total // connections
    frames.streamed(0)  # the audio is made before the clock starts
    gate = Gate(connections)
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(stream(url, each, gate))
        await gate.connected.wait()
        print("connected", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        started = time.perf_counter()
        gate.go.set()
        if kind in LASTING:
            await gate.sent.wait()
            print("sent", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            gate.end.set()
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": each * connections, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
