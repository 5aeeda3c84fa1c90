"""Added latency: from a frame's receipt at the gateway to its verdict, and to the transcriber."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import uvloop

from tests.bench.null_transcriber import ARRIVALS_FILE
from tests.bench.paced import stream
from tests.bench.report import Result, Spread
from tests.bench.system import load, pipeline
from tests.bench.traced_gateway import TRACE_FILE, read

CONNECTIONS = 10
WINDOWS = 3
WARM_UP_S = 1.0
P50_GOAL_MS = 1.0
P99_GOAL_MS = 5.0
PERCENTILES = (50, 95, 99)

Latencies = list[tuple[int, float]]
"""When a frame was received, in ns since 1970, and its latency in ms."""


def run(*, quick: bool) -> list[Result]:
    """Percentiles at shares of the capacity that was measured first."""
    seconds, shares = (0.5, (0.5,)) if quick else (4.0, (0.1, 0.5, 0.8))
    result = Result(
        "latency",
        f"Added latency in ms, {CONNECTIONS} connections, 2 verifiers, null recorder",
        [
            "load",
            "frames/s",
            *(f"to the verdict: p{p}" for p in PERCENTILES),
            *(f"to the transcriber: p{p}" for p in PERCENTILES),
        ],
    )
    with pipeline() as running:
        probe = load(
            running.url,
            running.pids(),
            connections=CONNECTIONS,
            frames=2_000 if quick else 10_000,
        )
    capacity = probe.rate
    for share in shares:
        rate = capacity * share
        verdicts, arrivals = (_percentiles(latencies) for latencies in _at(rate, seconds))
        result.add(f"{share:.0%} of {capacity:,.0f} frames/s", rate, *verdicts, *arrivals)
        if share == 0.5:
            p50, _, p99 = (spread.median for spread in verdicts)
            result.goal("p50 to the verdict under 1 ms at 50 %", p50, p50 < P50_GOAL_MS)
            result.goal("p99 to the verdict under 5 ms at 50 %", p99, p99 < P99_GOAL_MS)
    result.notes.append(
        f"medians of {WINDOWS} times {seconds:g} s, after {WARM_UP_S:g} s to warm up; the gateway "
        "notes each frame's receipt and verdict, the null transcriber its arrival; the load "
        "generator and the four processes of the pipeline share the cores"
    )
    return [result]


def _at(rate: float, seconds: float) -> tuple[Latencies, Latencies]:
    """Latencies at an open-loop rate: to the verdict, and to the transcriber."""
    total = int(rate * (WARM_UP_S + WINDOWS * seconds))
    with tempfile.TemporaryDirectory() as folder:
        trace, arrivals = Path(folder, "trace.json"), Path(folder, "arrivals.json")
        with pipeline(
            gateway_module="tests.bench.traced_gateway",
            env={TRACE_FILE: str(trace), ARRIVALS_FILE: str(arrivals)},
        ) as running:
            uvloop.run(stream(running.url, connections=CONNECTIONS, rate=rate, total=total))
            for stage in ("gateway", "transcriber"):
                running.processes[stage][0].terminate()
        verdicts = [(frame.received_ns, frame.latency_ms) for frame in read(trace)]
        return verdicts, [(at, ms) for at, ms in json.loads(arrivals.read_text())]


def _percentiles(latencies: Latencies) -> list[Spread]:
    """Of each window once warm, in :data:`PERCENTILES`' order."""
    first_ns = min(at for at, _ in latencies) + int(WARM_UP_S * 1e9)
    warm = sorted(entry for entry in latencies if entry[0] >= first_ns)
    windows = np.array_split(np.array([ms for _, ms in warm]), WINDOWS)
    return [Spread.of([float(np.percentile(w, p)) for w in windows]) for p in PERCENTILES]
