"""What a live stream costs: cores and memory of speech at real-time pace, here and elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import psutil

from common.client.errors import ServerBusyError
from common.client.stream import connect
from common.events import FullSentence, Notice, Report
from tests.bench.report import Result
from tests.bench.speakers import PAUSE_S, RATE_HZ, chunks_of, speech_of, stagger_s
from tests.bench.system import Pipeline, pipeline
from tests.processes import ROOT

START_TIMEOUT_S = 120
ROOM = ("--max-sessions", "400")
TRANSCRIBER = ("--engine", "null", "--transcriber-sessions", "400")
STOCK_PROCESSES = (1, 2)
"""Recorders of their own are run in these numbers: a core carries three or four."""


class Usage(NamedTuple):
    """What processes took while clients spoke: CPU cores in use, and memory of their own."""

    cores: float
    mib: float


class Heard(NamedTuple):
    """What one client heard."""

    delays_s: list[float]
    stops: int
    sentences: int
    frames: int
    resent: int
    refused: bool = False


def run(*, quick: bool) -> list[Result]:
    """Cores and memory by the number of live clients."""
    result = Result(
        "live",
        "A live stream: speech at real-time pace, engines that answer at once",
        ["clients", "server", "cores", "cores per client", "MiB", "MiB per client", "p95 s"],
    )
    sentences = 2 if quick else 4
    stock = [_stock(count, sentences) for count in STOCK_PROCESSES[: 1 if quick else None]]
    per_recorder = Usage(
        sum(usage.cores for usage in stock) / sum(STOCK_PROCESSES[: len(stock)]),
        sum(usage.mib for usage in stock) / sum(STOCK_PROCESSES[: len(stock)]),
    )
    for count in (4,) if quick else (1, 4, 16, 64):
        with pipeline(*ROOM, transcriber="transcriber", transcriber_options=TRANSCRIBER) as running:
            usage, heard = live_streams(running, count, sentences)
        delays = [delay for one in heard for delay in one.delays_s]
        p95 = float(np.percentile(delays, 95)) if delays else float("nan")
        result.add(
            count,
            "this system",
            usage.cores,
            usage.cores / count,
            usage.mib,
            usage.mib / count,
            p95,
        )
        cores, mib = per_recorder.cores * count, per_recorder.mib * count
        result.add(
            count,
            "a stock recorder each",
            cores,
            per_recorder.cores,
            mib,
            per_recorder.mib,
            float("nan"),
        )
        for at, cpu, memory in ((16, 1 / 20, 1 / 10), (64, 1 / 30, 1 / 30)):
            if count == at:
                shares = usage.cores / cores, usage.mib / mib
                result.goal(f"share of the CPU at {at}", shares[0], shares[0] < cpu)
                result.goal(f"share of the memory at {at}", shares[1], shares[1] < memory)
    result.notes.append(
        f"a stock recorder: measured in {' and '.join(map(str, STOCK_PROCESSES[: len(stock)]))} "
        "processes at once, multiplied; its WebSocket server would come on top. Memory is what is "
        "a process's own (USS). p95: end of speech to final"
    )
    return [result]


def live_streams(running: Pipeline, count: int, sentences: int) -> tuple[Usage, list[Heard]]:
    """So many clients speak at once; what that took, and what each heard."""
    pids = [pid for members in running.pids().values() for pid in members]
    return asyncio.run(speak_all(running.url, pids, count, sentences))


async def speak_all(
    url: str, pids: Sequence[int], count: int, sentences: int
) -> tuple[Usage, list[Heard]]:
    """The same, in a loop that there is."""
    connected = asyncio.Barrier(count + 1)
    speakers = [
        asyncio.create_task(_speak(url, number, sentences, connected)) for number in range(count)
    ]
    async with asyncio.timeout(START_TIMEOUT_S):
        await connected.wait()
    with _measured(pids) as usage:
        heard = await asyncio.gather(*speakers)
    return usage[0], heard


async def _speak(url: str, number: int, sentences: int, connected: asyncio.Barrier) -> Heard:
    stopped: list[float] = []
    delays: list[float] = []
    texts = 0
    report: Report | None = None

    def hear(event: object) -> None:
        nonlocal texts
        if isinstance(event, Notice) and event.type == "recording_stop":
            stopped.append(time.perf_counter())
        elif isinstance(event, FullSentence):
            texts += 1
            if len(delays) < len(stopped):
                delays.append(time.perf_counter() - stopped[len(delays)])

    try:
        async with connect(url, on_event=hear) as stream:
            await connected.wait()
            await asyncio.sleep(stagger_s(number))
            start, sent = time.perf_counter(), 0
            for turn in range(sentences):
                for chunk in chunks_of(
                    speech_of(number + turn) + bytes(2 * int(PAUSE_S * RATE_HZ))
                ):
                    sent += len(chunk) // 2
                    await stream.send(chunk)
                    await asyncio.sleep(max(0.0, start + sent / RATE_HZ - time.perf_counter()))
            report = await stream.finish(idle_timeout_s=START_TIMEOUT_S)
    except ServerBusyError:
        await connected.wait()
        return Heard([], 0, 0, 0, 0, refused=True)
    resent = report.retransmissions if report else 0
    return Heard(delays, len(stopped), texts, stream.frames, resent)


def _stock(count: int, sentences: int) -> Usage:
    argv = [sys.executable, "-m", "tests.bench.stock_recorder", str(sentences)]
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            _line(process, "stock recorder is ready")
        with _measured([process.pid for process in processes]) as usage:
            for process in processes:
                _say(process)
            for process in processes:
                _line(process, "[")
        return usage[0]


def _line(process: subprocess.Popen[str], start: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise RuntimeError(f"a stock recorder ended with {process.wait()}")


def _say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@contextlib.contextmanager
def _measured(pids: Sequence[int]) -> Iterator[list[Usage]]:
    """What the processes and their children take within the block; it is there afterwards."""
    family = [
        member
        for pid in pids
        for member in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    ]

    def spent_s() -> float:
        return float(sum(sum(member.cpu_times()[:2]) for member in family))

    usage: list[Usage] = []
    before, started = spent_s(), time.perf_counter()
    yield usage
    seconds = time.perf_counter() - started
    memory = sum(member.memory_full_info().uss for member in family) / 2**20
    usage.append(Usage((spent_s() - before) / seconds, memory))
