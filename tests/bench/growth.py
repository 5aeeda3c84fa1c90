"""What sessions cost as they grow, and how long a start and a recovery take."""

from __future__ import annotations

import asyncio
import resource
import time

import psutil
import uvloop
from websockets.asyncio.client import connect

from common.client.stream import connect as connect_stream
from common.events import FrameVerdict, TranscriberChanged
from tests.bench import frames
from tests.bench.load import PACED_PER_S
from tests.bench.report import Result, Spread
from tests.bench.system import NULL_TRANSCRIBER, Cost, Pipeline, load, pipeline

ROOM = ("--max-sessions", "1200")
TRANSCRIBER_ROOM = ("--transcriber-sessions", "1200")


FEW, MANY = 10, 1_000
FRAMES_EACH = 40
PACED_FRAMES = 12_000
MOST_GROWTH = 1.3


def run(*, quick: bool) -> list[Result]:
    """Both tables."""
    return [sessions(quick=quick), recovery(quick=quick)]


def sessions(*, quick: bool) -> Result:
    """Cost per frame with idle sessions beside, and with all active; memory per session."""
    result = Result(
        "growth",
        "Growth with sessions (null recorder): CPU ms per 1,000 frames; gateway memory",
        [
            "sessions",
            "state",
            "gateway",
            "verifiers",
            "transcriber",
            "gateway MiB",
            "KiB per session",
            "end of one, ms",
        ],
    )
    count_frames = 2_000 if quick else 6_000
    costs: dict[tuple[str, int], Cost] = {}
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, 4_096))
    for count in (100,) if quick else (1, FEW, MANY):
        with pipeline(*ROOM, transcriber_options=TRANSCRIBER_ROOM) as running:
            before = _gateway_mib(running)
            idle = uvloop.run(_with_idle(running, count, count_frames))
            _row(result, count, "idle beside 1 active", idle, before)
        for state, kind, most in (
            (f"{PACED_PER_S:,} frames/s in all", "paced", PACED_FRAMES),
            ("full speed", "steady", max(2 * PACED_FRAMES, FRAMES_EACH * count)),
        ):
            with pipeline(*ROOM, transcriber_options=TRANSCRIBER_ROOM) as running:
                before = _gateway_mib(running)
                cost = load(
                    running.url,
                    running.pids(),
                    connections=count,
                    frames=count_frames if quick else most,
                    kind=kind,
                )
            _row(result, count, state, cost, before)
            costs[kind, count] = cost
    for kind, how in () if quick else (("paced", "at one rate"), ("steady", "at full speed")):
        few, many = costs[kind, FEW], costs[kind, MANY]
        for stage in ("gateway", "transcriber"):
            growth = many.per_thousand(stage) / few.per_thousand(stage)
            text = f"CPU per frame of the {stage} {how}, {MANY} active sessions × {FEW}"
            result.goal(text, growth, growth < MOST_GROWTH)
    result.notes.append(
        "sessions begin before and end after what is measured, but for those of the first state; "
        "at full speed what a thousand connections have waiting is in no cache, and each frame is "
        "acknowledged alone"
    )
    return result


def _row(result: Result, count: int, state: str, cost: Cost, before_mib: float) -> None:
    after_mib = cost.rss_mib["gateway"]
    result.add(
        count,
        state,
        cost.per_thousand("gateway"),
        cost.per_thousand("verifier"),
        cost.per_thousand("transcriber"),
        after_mib,
        max(0.0, (after_mib - before_mib) * 1024 / count),
        1e3 * cost.ends_cpu_s["gateway"] / count,
    )


def _gateway_mib(running: Pipeline) -> float:
    return float(psutil.Process(running.pids()["gateway"][0]).memory_info().rss / 2**20)


async def _with_idle(running: Pipeline, count: int, count_frames: int) -> Cost:
    clients = [
        await connect(running.url, compression=None, ping_interval=None) for _ in range(count - 1)
    ]
    try:
        return await asyncio.to_thread(
            load,
            running.url,
            running.pids(),
            connections=1,
            frames=count_frames,
        )
    finally:
        for client in clients:
            client.transport.abort()


def recovery(*, quick: bool) -> Result:
    """Seconds from start to ready, and from a kill to the next progress."""
    runs = 1 if quick else 3
    result = Result("recovery", "Start and recovery, in seconds: median (min-max)", ["what", "s"])
    result.add("start of the pipeline, null recorder", Spread.of([_start_s() for _ in range(runs)]))
    if not quick:
        result.add(
            "start of the pipeline, PocketSphinx",
            Spread.of([_start_s(transcriber="transcriber") for _ in range(runs)]),
        )
    result.add(
        "verifier killed (1 of 2): longest wait for a verdict after it",
        Spread.of([asyncio.run(_verifier_killed()) for _ in range(runs)]),
    )
    result.add(
        "transcriber killed, another stands by: to the session's re-opening",
        Spread.of([asyncio.run(_transcriber_killed()) for _ in range(runs)]),
    )
    return result


def _start_s(transcriber: str = NULL_TRANSCRIBER) -> float:
    started = time.perf_counter()
    with pipeline(transcriber=transcriber):
        return time.perf_counter() - started


async def _verifier_killed() -> float:
    with pipeline(verifiers=2) as running:
        return await _longest_wait(running, running.processes["verifier"][0].kill)


async def _longest_wait(running: Pipeline, fault: object) -> float:
    """Stream at ten times real-time pace, cause a fault in the middle; the worst latency, s."""
    assert callable(fault)
    worst = 0.0
    struck = False

    def heard(event: object) -> None:
        nonlocal worst
        if isinstance(event, FrameVerdict) and struck:
            worst = max(worst, event.latency_ms / 1000)

    async with connect_stream(running.url, on_event=heard) as stream:
        for number in range(120):
            if number == 60:
                await asyncio.to_thread(fault)
                struck = True
            await stream.send(frames.pcm(number % 16))
            await asyncio.sleep(0.0256)
        await stream.finish()
    return worst


async def _transcriber_killed() -> float:
    reopened = asyncio.Event()
    opens = 0

    def heard(event: object) -> None:
        nonlocal opens
        if isinstance(event, TranscriberChanged) and event.state == "open":
            opens += 1
            if opens == 2:
                reopened.set()

    with pipeline() as running:
        standby = running.stages.start(NULL_TRANSCRIBER)
        async with connect_stream(running.url, on_event=heard) as stream:
            await stream.send(frames.pcm(0))
            await asyncio.to_thread(standby.wait_for_line, "is ready")
            await asyncio.to_thread(_wait_for_two, running)
            started = time.perf_counter()
            await asyncio.to_thread(running.processes["transcriber"][0].kill)
            async with asyncio.timeout(30):
                await reopened.wait()
            return time.perf_counter() - started


def _wait_for_two(running: Pipeline) -> None:
    """Wait until the gateway has heard of both transcribers."""
    gateway = running.processes["gateway"][0]
    first = next(i for i, line in enumerate(gateway.lines) if "transcriber" in line)
    gateway.wait_for_line(r"transcriber \S+ joined", after=first + 1)
