"""What one stopped verifier among three costs: the frames that it hoards, and all others."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import uvloop

from common.settings import GatewaySettings
from gateway.stage import EXPIRY_INTERVAL_S
from tests.bench.paced import stream
from tests.bench.report import Result
from tests.bench.system import Pipeline, pipeline
from tests.bench.traced_gateway import TRACE_FILE, Traced, read

CONNECTIONS = 10
FRAMES_PER_S = 300
WARM_UP_S = 1.0


def run(*, quick: bool) -> list[Result]:
    """The same system before and after, in one run."""
    result = Result(
        "stopped",
        f"One of 3 verifiers stopped (SIGSTOP); {CONNECTIONS} streams, {FRAMES_PER_S} frames/s in "
        "all: ms to the verdict",
        ["frames", "count", "p50", "p95", "p99", "sent, at most"],
    )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "trace.json")
        with pipeline(
            verifiers=3, gateway_module="tests.bench.traced_gateway", env={TRACE_FILE: str(target)}
        ) as running:
            stopped_ns = uvloop.run(_stream(running, 2.0 if quick else 8.0))
            running.processes["gateway"][0].terminate()
        traced = list(read(target))
    first_ns = traced[0].received_ns + int(WARM_UP_S * 1e9)
    undisturbed = [f for f in traced if first_ns <= f.received_ns < stopped_ns and f.attempts == 1]
    again, behind = _affected(traced)
    others = [
        frame
        for index, frame in enumerate(traced)
        if frame.received_ns >= stopped_ns and index not in again and index not in behind
    ]
    affected = [traced[index] for index in again]
    _row(result, "before", undisturbed)
    _row(result, "after: neither sent again nor behind such a frame", others)
    _row(
        result, "after: behind one of its session that was sent again", [traced[i] for i in behind]
    )
    _row(result, "after: sent again", affected)
    _goals(result, undisturbed, others, affected)
    return [result]


def _goals(
    result: Result,
    undisturbed: Sequence[Traced],
    others: Sequence[Traced],
    affected: Sequence[Traced],
) -> None:
    limit_ms = 2 * _p99(undisturbed)
    result.goal(
        "other frames: p99 within 2 × the undisturbed one, × of it",
        _p99(others) / _p99(undisturbed),
        _p99(others) <= limit_ms,
    )
    timeout_ms = 1000 * (GatewaySettings().retransmit_min_s + EXPIRY_INTERVAL_S)
    excess = [f.latency_ms - _timeouts(f.attempts) * timeout_ms for f in affected]
    worst = float(np.percentile(excess, 99)) if excess else 0.0
    result.goal(
        f"frames sent again: p99 beyond their timeouts within {limit_ms:.3g} ms, ms",
        worst,
        worst <= limit_ms,
    )
    result.notes.append(
        f"a timeout is {timeout_ms:g} ms, the least retransmission timeout and the time between "
        "two looks at it, and doubles with each sending; verdicts are acted on in the order of a "
        "session's frames, so that those behind a missing one wait for it"
    )


def _timeouts(attempts: int) -> int:
    """First timeouts that a frame waited for, in all, when each is twice the one before."""
    return int(2 ** (attempts - 1)) - 1


def _affected(traced: Sequence[Traced]) -> tuple[list[int], list[int]]:
    """Indices of frames that were sent again, and of those of a session that waited for one."""
    again, behind = [], []
    released: dict[str, float] = {}
    for index, frame in enumerate(traced):
        if frame.attempts > 1:
            again.append(index)
            released[frame.session] = frame.judged_s
        elif released.get(frame.session) == frame.judged_s:
            behind.append(index)
    return again, behind


def _row(result: Result, name: str, traced: Sequence[Traced]) -> None:
    values = [frame.latency_ms for frame in traced]
    percentiles = np.percentile(values, [50, 95, 99]) if values else [float("nan")] * 3
    attempts = max((frame.attempts for frame in traced), default=0)
    result.add(name, len(values), *(float(value) for value in percentiles), attempts)


def _p99(traced: Sequence[Traced]) -> float:
    return float(np.percentile([frame.latency_ms for frame in traced], 99))


async def _stream(running: Pipeline, seconds: float) -> int:
    """Stream before and after a verifier is stopped; when it was, in ns since 1970."""
    stopped_ns = 0

    async def stop() -> None:
        nonlocal stopped_ns
        stopped_ns = time.time_ns()
        await asyncio.to_thread(running.processes["verifier"][0].pause)

    await stream(
        running.url,
        connections=CONNECTIONS,
        rate=FRAMES_PER_S,
        total=int(FRAMES_PER_S * (WARM_UP_S + 2 * seconds)),
        before={int(FRAMES_PER_S * (WARM_UP_S + seconds)): stop},
    )
    return stopped_ns
