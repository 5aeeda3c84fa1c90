"""What a transcriber may run out of: its disk, its memory, its threads, its time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from tests.abuse.scene import OTHER, Scene
from tests.abuse.test_places import FRAME, opened
from tests.faults.crowd import until

FILE_BYTES: Final = 32_768
SPARE_BYTES: Final = 6 << 20
"""Less than the stack of a thread: who has a recorder can go on, another cannot be made."""
ADDRESSES: Final = tuple(f"127.0.0.{number}" for number in range(70, 74))
AT_ONCE: Final = 4
VISITS: Final = 400
MOST_THREADS: Final = 100
"""Of eight recorders, and of as many as may be closing."""
LINES_AT_ONCE: Final = 100
LINES_PER_S: Final = 20


def process_of(scene: Scene) -> psutil.Process:
    return psutil.Process(scene.system.transcribers[0].process.pid)


@contextmanager
def held_to(process: psutil.Process, resource: int, most: int) -> Iterator[None]:
    """A block in which a process gets no more than so much of a resource."""
    soft, hard = process.rlimit(resource)
    process.rlimit(resource, (most, hard))
    try:
        yield
    finally:
        process.rlimit(resource, (soft, hard))


async def state_of(connection: ClientConnection) -> str:
    """What a client is told next about its recorder."""
    async with asyncio.timeout(60):
        while True:
            event = json.loads(await connection.recv())
            if event["type"] == "transcriber":
                return str(event["state"])


async def test_a_tap_that_cannot_be_written_costs_no_transcript(scene: Scene) -> None:
    """No file may grow any more, as on a full disk."""
    transcriber = scene.system.transcribers[0]
    if not scene.expected:
        await scene.quiet()
    mark = len(transcriber.process.lines)
    with held_to(process_of(scene), psutil.RLIMIT_FSIZE, FILE_BYTES):
        async with scene.beside("--tap-dir on a full disk"):
            pass
    said = [line for line in transcriber.process.lines[mark:] if "--tap-dir: nothing more" in line]
    assert len(said) == 2, "once for each session"


async def test_without_memory_for_one_more_newcomers_wait_and_are_told(scene: Scene) -> None:
    transcriber = scene.system.transcribers[0]
    process, mark = process_of(scene), len(transcriber.process.lines)
    failed = scene.system.metrics(transcriber)["failed_recorders"]
    async with contextlib.AsyncExitStack() as stack:
        async with scene.beside("no memory for one recorder more"):
            with held_to(process, psutil.RLIMIT_AS, process.memory_info().vms + SPARE_BYTES):
                state = "open"
                while state == "open":  # some memory was in use before, and is there for a few
                    newcomer = await stack.enter_async_context(scene.data("?events=integrity"))
                    await opened(newcomer)
                    await newcomer.send(FRAME)
                    state = await state_of(newcomer)
                assert state == "waiting"
                await scene.until_count("waiting_sessions", lambda count: count >= 1)
        assert scene.system.metrics(transcriber)["failed_recorders"] > failed
        while state != "open":  # as soon as there is memory, it is served
            state = await state_of(newcomer)
    said = transcriber.process.lines[mark:]
    assert 1 <= sum("a recorder cannot be made, new sessions wait" in line for line in said) <= 2
    assert not [line for line in said if "Traceback" in line]


async def test_who_comes_and_goes_without_end_costs_few_threads_lines_and_look_ups(
    scene: Scene,
) -> None:
    """Stock connections of many addresses; each says a word, so that it gets a recorder."""
    process = process_of(scene)
    threads, mark = process.num_threads(), scene.mark
    looks, visits, most_threads = scene.count("peer_look_ups"), 0, 0
    began_s = time.monotonic()

    async def come_and_go(address: str) -> None:
        nonlocal visits, most_threads
        while True:
            with contextlib.suppress(OSError, WebSocketException):
                async with scene.data(address=address) as connection:
                    await connection.send(FRAME)
                    visits += 1
            most_threads = max(most_threads, process.num_threads())

    async with scene.beside("comes and goes without end"):
        tasks = [asyncio.create_task(come_and_go(a)) for a in ADDRESSES for _ in range(AT_ONCE)]
        try:
            await until(lambda: visits >= VISITS, "they came and went", 120)
            async with scene.data("?events=integrity", OTHER) as newcomer:
                await opened(newcomer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    took_s = time.monotonic() - began_s
    assert most_threads < threads + MOST_THREADS
    assert scene.count("peer_look_ups") - looks <= visits / 4, "one look answers all who wait"
    for kind in (" connected (", " left: ", "was turned away", "verified (length"):
        assert len(scene.lines_with(kind, mark)) <= LINES_AT_ONCE + LINES_PER_S * took_s + 1
