"""The client library and the real stages: nothing is lost when lines are cut or a gateway dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from common.client import ClientEvent
from common.client.stream import Stream, connect
from common.events import FullSentence, SessionStarted
from tests.processes import StageProcess, Stages, free_port
from tests.speech import SENTENCES, load

RATE_HZ: Final = 16_000
CHUNK_SAMPLES: Final = 1024
PACE: Final = 8.0
VERIFY: Final = "--verify-data-integrity"


class System:
    """Real stages whose recorders' input is written to files; the gateway can be killed."""

    def __init__(self, stages: Stages, taps: Path) -> None:
        self.taps = taps
        self._stages = stages
        self._ports = ("--data-port", str(free_port()), "--control-port", str(free_port()))
        self.url = f"ws://127.0.0.1:{self._ports[1]}"
        self._verifier = stages.start("verifier")
        self._transcriber = stages.start("transcriber", "--engine", "null", "--tap-dir", str(taps))
        self._transcriber.wait_for_line("is ready")
        self.gateway = self.start_gateway()
        self.gateway.wait_for_line("transcriber .* joined")

    def start_gateway(self) -> StageProcess:
        """Start one on the same ports as before."""
        self.gateway = self._stages.start("gateway", *self._ports, VERIFY)
        self.gateway.wait_for_line("is ready")
        return self.gateway

    def tapped(self, session: str) -> bytes:
        """What the recorder of a session was fed; no replay fed it anything else."""
        assert not (self.taps / f"{session}.mismatch").exists()
        tap = self.taps / f"{session}.pcm"
        return tap.read_bytes() if tap.exists() else b""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with Stages() as stages:
        yield System(stages, tmp_path_factory.mktemp("taps"))


def utterances(count: int) -> bytes:
    """``count`` different sentences, each followed by a pause of noise that never repeats itself,
    so that a sample in the wrong place is noticed."""
    random = np.random.default_rng(7)
    parts = []
    for name in list(SENTENCES)[:count]:
        pause = random.integers(-3, 4, int(1.5 * RATE_HZ), dtype=np.int16)
        parts += [pause[:4000].tobytes(), load(name), pause[4000:].tobytes()]
    return b"".join(parts)


async def send_paced(stream: Stream, pcm: bytes) -> None:
    for start in range(0, len(pcm), 2 * CHUNK_SAMPLES):
        await stream.send(pcm[start : start + 2 * CHUNK_SAMPLES])
        await asyncio.sleep(CHUNK_SAMPLES / RATE_HZ / PACE)


def cut(stream: Stream) -> None:
    """Break the connection as a network does: without a word."""
    connection = stream._line._connection
    assert connection is not None
    connection.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def progress(stream: Stream, frames: int) -> None:
    """Wait until the server has judged so many more."""
    goal = stream.verdicts.total + frames
    await until(lambda: stream.verdicts.total >= goal)


def sentences(events: list[ClientEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, FullSentence)]


async def undisturbed(system: System, pcm: bytes) -> list[str]:
    events: list[ClientEvent] = []
    async with connect(system.url, chunk_samples=CHUNK_SAMPLES, on_event=events.append) as stream:
        await send_paced(stream, pcm)
        await stream.finish()
    assert stream.session is not None
    assert system.tapped(stream.session)[: len(pcm)] == pcm
    assert len(sentences(events)) > 3
    return sentences(events)


async def test_a_line_cut_again_and_again_changes_nothing(system: System) -> None:
    pcm = utterances(5)
    expected = await undisturbed(system, pcm)
    events: list[ClientEvent] = []
    async with connect(system.url, chunk_samples=CHUNK_SAMPLES, on_event=events.append) as stream:
        sender = asyncio.create_task(send_paced(stream, pcm))
        for number in range(1, 5):
            await progress(stream, 40)
            cut(stream)
            await until(lambda: stream.reconnections == number)  # noqa: B023
        await sender
        report = await stream.finish()
    assert stream.lost_frames == 0
    assert {e.session for e in events if isinstance(e, SessionStarted)} == {stream.session}
    assert stream.session is not None
    assert system.tapped(stream.session)[: len(pcm)] == pcm
    assert sentences(events) == expected
    assert report is not None
    assert report.frames == report.ok == stream.frames
    assert report.lost == report.repeated == report.reordered == 0


async def test_a_gateway_that_dies_costs_nothing_of_what_is_said(system: System) -> None:
    pcm = utterances(8)
    expected = await undisturbed(system, pcm)
    events: list[ClientEvent] = []
    async with connect(system.url, chunk_samples=CHUNK_SAMPLES, on_event=events.append) as stream:
        sender = asyncio.create_task(send_paced(stream, pcm))
        for number in range(1, 3):
            await progress(stream, 100)
            await asyncio.to_thread(system.gateway.kill)
            await asyncio.to_thread(system.start_gateway)
            await until(lambda: stream.reconnections == number)  # noqa: B023
        await sender
        await stream.finish()
    assert stream.lost_frames == 0
    assert covered_without_a_gap(system, events, pcm)
    assert sentences(events) == expected


async def test_a_gateway_that_is_stopped_costs_no_more_than_one_that_dies(system: System) -> None:
    pcm = utterances(5)
    expected = await undisturbed(system, pcm)
    events: list[ClientEvent] = []
    async with connect(system.url, chunk_samples=CHUNK_SAMPLES, on_event=events.append) as stream:
        sender = asyncio.create_task(send_paced(stream, pcm))
        await progress(stream, 100)
        assert await asyncio.to_thread(system.gateway.terminate) == 0
        await asyncio.to_thread(system.start_gateway)
        await sender
        await stream.finish()
    assert (stream.reconnections, stream.lost_frames) == (1, 0)
    assert covered_without_a_gap(system, events, pcm)
    assert sentences(events) == expected


def covered_without_a_gap(system: System, events: list[ClientEvent], pcm: bytes) -> bool:
    """Whether the sessions' inputs, one after the other, hold every sample of ``pcm`` in order."""
    begins = {
        event.session: 2 * event.sample
        for event in events
        if isinstance(event, SessionStarted) and not event.resumed
    }
    reached = 0
    for session, begin in begins.items():
        fed = system.tapped(session)
        if begin > reached or fed[begin : len(pcm)] != pcm[begin : len(fed)]:
            return False
        reached = max(reached, len(fed))
    return reached >= len(pcm)
