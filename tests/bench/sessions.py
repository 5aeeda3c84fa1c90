"""How many real-time speech streams one transcriber process carries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import NamedTuple

import numpy as np
import psutil

from tests.bench import frames
from tests.bench.production_client import production, turns
from tests.bench.report import Result
from tests.bench.speakers import (
    CHUNK_SAMPLES,
    PAUSE_S,
    RATE_HZ,
    chunks_of,
    speak,
    speech_of,
    stagger_s,
)
from tests.bench.system import pipeline

LIMIT_S = 1.0
CONNECT_TIMEOUT_S = 120
PRODUCTION = "RealtimeSTT stt-server-production"


class Carried(NamedTuple):
    """One number of streams: delays from end of speech to final, and CPU."""

    delays_s: list[float]
    expected: int
    cpu_share: float

    @property
    def p95_s(self) -> float:
        """95th percentile of the delays; infinite when sentences are missing."""
        if len(self.delays_s) < self.expected:
            return float("inf")
        return float(np.percentile(self.delays_s, 95))


class Contender(NamedTuple):
    """A server and an engine, and the numbers of streams to try."""

    name: str
    engine: str
    streams: tuple[int, ...]


def run(*, quick: bool) -> list[Result]:
    """More and more streams until the delay is over the limit."""
    result = Result(
        "sessions",
        "Real-time speech streams of one process: end of speech to final, in seconds",
        ["server", "engine", "streams", "finals", "p50", "p95", "cores", "cores per stream"],
    )
    null, sphinx = ((8,), ()) if quick else ((16, 64), (2, 8))
    for contender in (
        Contender("this pipeline", "null", null),
        Contender(PRODUCTION, "null", null),
        Contender("this pipeline", "pocketsphinx", sphinx),
        Contender(PRODUCTION, "pocketsphinx", sphinx),
    ):
        if contender.streams:
            _try(result, contender, sentences=1 if quick else 2)
    result.notes.append(
        "speech of about 2.5 s and a pause of 1.2 s, in turn, streams staggered; the load "
        "generator and all stages share the cores. End of speech: this pipeline's recording_stop, "
        "which its voice detector finds; with RealtimeSTT's production server the client says when "
        "a turn ends, and no voice detector runs. 'cores' are those of the transcriber, or of the "
        "whole production server, with their workers; this pipeline's PocketSphinx also makes "
        "partial results, in the time that finals leave"
    )
    return [result]


def _try(result: Result, contender: Contender, sentences: int) -> None:
    carried = 0
    for count in contender.streams:
        measured = _carry(contender, count, sentences)
        result.add(
            contender.name,
            contender.engine,
            count,
            f"{len(measured.delays_s)}/{measured.expected}",
            float(np.percentile(measured.delays_s, 50)) if measured.delays_s else float("nan"),
            measured.p95_s,
            measured.cpu_share,
            measured.cpu_share / count,
        )
        if measured.p95_s > LIMIT_S:
            break
        carried = count
    limit = "" if carried < contender.streams[-1] else ", the most that was tried"
    result.notes.append(
        f"{contender.name}, {contender.engine}: {carried} streams with p95 within {LIMIT_S:g} s"
        f"{limit}"
    )


def _carry(contender: Contender, count: int, sentences: int) -> Carried:
    if contender.name == PRODUCTION:
        with production(contender.engine) as (url, process):
            return asyncio.run(_measure(_take_turns, url, process.pid, count, sentences))
    with pipeline(
        transcriber="transcriber", transcriber_options=("--engine", contender.engine)
    ) as running:
        pid = running.pids()["transcriber"][0]
        return asyncio.run(_measure(speak, running.url, pid, count, sentences))


async def _measure(
    speak: Callable[[str, int, int, asyncio.Barrier], Coroutine[None, None, list[float]]],
    url: str,
    pid: int,
    streams: int,
    sentences: int,
) -> Carried:
    """Have all streams connect, and then speak."""
    connected = asyncio.Barrier(streams + 1)
    speakers = [
        asyncio.create_task(speak(url, number, sentences, connected)) for number in range(streams)
    ]
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        await connected.wait()
    processes = _family(pid)
    before, started = _cpu_s(processes), time.perf_counter()
    delays = await asyncio.gather(*speakers)
    seconds = time.perf_counter() - started
    spent = _cpu_s(processes) - before
    return Carried(
        [d for per_stream in delays for d in per_stream], streams * sentences, spent / seconds
    )


async def _take_turns(
    url: str, number: int, sentences: int, connected: asyncio.Barrier
) -> list[float]:
    """A stream to the production server; delays from the end of each turn to its final."""
    delays: list[float] = []
    async with turns(url) as client:
        await connected.wait()
        await asyncio.sleep(stagger_s(number))
        for turn in range(sentences):
            if turn:
                await client.hear("completion")
                await asyncio.sleep(PAUSE_S)
            await client.start()
            start, pcm = time.perf_counter(), speech_of(number + turn)
            for index, chunk in enumerate(chunks_of(pcm)):
                await client.send(frames.streamed_pcm(index, chunk))
                sent_s = (index + 1) * CHUNK_SAMPLES / RATE_HZ
                await asyncio.sleep(max(0.0, start + sent_s - time.perf_counter()))
            ended = time.perf_counter()
            await client.finish()
            delays.append(time.perf_counter() - ended)
    return delays


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(p.cpu_times().user + p.cpu_times().system for p in processes))
