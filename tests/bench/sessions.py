"""How many real-time speech streams one transcriber process carries."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import numpy as np
import psutil

from common.client import connect
from common.events import FullSentence, Notice
from tests import speech
from tests.bench.report import Result
from tests.bench.system import Pipeline, pipeline

LIMIT_S = 1.0
RATE_HZ = 16_000
PAUSE = bytes(2 * int(1.2 * RATE_HZ))
CHUNK_SAMPLES = 2_048


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


def run(*, quick: bool) -> list[Result]:
    """Double the streams until the delay is over the limit."""
    result = Result(
        "sessions",
        "Real-time speech streams of one transcriber: end of speech (recording_stop) to final",
        [
            "engine",
            "streams",
            "sentences",
            "p50 s",
            "p95 s",
            "cores, transcriber",
            "cores per stream",
        ],
    )
    sentences = 1 if quick else 3
    for engine, counts in (
        ("null", (8,) if quick else (8, 16, 32, 64)),
        ("pocketsphinx", (1, 2) if quick else (1, 2, 4, 8, 16)),
    ):
        carried = 0
        for count in counts:
            with pipeline(
                transcriber="transcriber", transcriber_options=("--engine", engine)
            ) as running:
                measured = asyncio.run(_measure(running, count, sentences))
            result.add(
                engine,
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
        result.notes.append(f"{engine}: {carried} streams with p95 within {LIMIT_S:g} s")
    result.notes.append(
        "speech of about 2.5 s and a pause of 1.2 s, in turn, streams staggered; the load "
        "generator and all stages share the cores"
    )
    return [result]


async def _measure(running: Pipeline, streams: int, sentences: int) -> Carried:
    processes = _family(running.pids()["transcriber"][0])
    before, started = _cpu_s(processes), time.perf_counter()
    delays = await asyncio.gather(
        *(_speak(running.url, number, sentences) for number in range(streams))
    )
    seconds = time.perf_counter() - started
    spent = _cpu_s(processes) - before
    return Carried(
        [d for per_stream in delays for d in per_stream], streams * sentences, spent / seconds
    )


async def _speak(url: str, number: int, sentences: int) -> list[float]:
    """Stream sentences at real-time pace; delays from each recording's end to its final."""
    names = sorted(speech.SENTENCES)
    stopped: list[float] = []
    delays: list[float] = []
    await asyncio.sleep((number * 0.37) % 3)

    def heard(event: object) -> None:
        if isinstance(event, Notice) and event.type == "recording_stop":
            stopped.append(time.perf_counter())
        elif isinstance(event, FullSentence) and len(delays) < len(stopped):
            delays.append(time.perf_counter() - stopped[len(delays)])

    async with connect(url, on_event=heard) as stream:
        start, sent = time.perf_counter(), 0
        for turn in range(sentences):
            pcm = speech.load(names[(number + turn) % len(names)]) + PAUSE
            for offset in range(0, len(pcm), 2 * CHUNK_SAMPLES):
                chunk = pcm[offset : offset + 2 * CHUNK_SAMPLES]
                sent += len(chunk) // 2
                await stream.send(chunk)
                await asyncio.sleep(max(0.0, start + sent / RATE_HZ - time.perf_counter()))
        await stream.finish()
    return delays


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(p.cpu_times().user + p.cpu_times().system for p in processes))
