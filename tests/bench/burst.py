"""Whether memory comes back: what a gateway takes before, at and after a burst."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable

import psutil
import uvloop
from websockets.asyncio.client import connect

from common.events import END_OF_STREAM
from tests.bench import frames
from tests.bench.report import Result
from tests.bench.system import Pipeline, pipeline

ROOM = ("--max-sessions", "1200")
TRANSCRIBER_ROOM = ("--transcriber-sessions", "1200")
LARGE_SAMPLES = 512 * 1024 - 1024
"""With its header a message is under the gateway's limit of 1 MiB."""
POLL_S = 0.1


def run(*, quick: bool) -> list[Result]:
    """RSS of the gateway, in MiB."""
    result = Result(
        "burst",
        "Memory of a gateway before, at and after a burst (null recorder), MiB",
        ["burst", "before", "at most", "after", "s after"],
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, 4_096))
    after_s = 8.0 if quick else 60.0
    count = 200 if quick else 1_000
    small, large = frames.streamed(0), frames.message(0, samples=LARGE_SAMPLES)
    bursts = [
        (f"{count} connections, 20 frames of 8 KiB each", count, 20, small),
        ("16 connections, 20 frames of 1 MiB each", 16, 20, large),
    ]
    for name, connections, each, message in bursts[1:] if quick else bursts:
        with pipeline(*ROOM, transcriber_options=TRANSCRIBER_ROOM) as running:
            before_mib = _mib(running)
            peak_mib = uvloop.run(_peak(running, _burst(running, connections, each, message)))
            time.sleep(after_s)
            after_mib = _mib(running)
        result.add(name, before_mib, peak_mib, after_mib, after_s)
        growth_mib = after_mib - before_mib
        result.goal(f"MiB kept after {name}", growth_mib, growth_mib < 64)
    return [result]


async def _burst(running: Pipeline, connections: int, each: int, message: bytes) -> None:
    async def client() -> None:
        async with connect(running.url, compression=None, ping_interval=None) as websocket:
            for _ in range(each):
                await websocket.send(message)
            await websocket.send(END_OF_STREAM)
            async for _ in websocket:  # what is not read holds up the close
                pass

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(client())


async def _peak(running: Pipeline, burst: Awaitable[None]) -> float:
    """Let a burst come; the most that the gateway takes meanwhile."""
    peak_mib = 0.0

    async def watch() -> None:
        nonlocal peak_mib
        while True:
            peak_mib = max(peak_mib, _mib(running))
            await asyncio.sleep(POLL_S)

    watching = asyncio.create_task(watch())
    await burst
    watching.cancel()
    return peak_mib


def _mib(running: Pipeline) -> float:
    return float(psutil.Process(running.pids()["gateway"][0]).memory_info().rss / 2**20)
