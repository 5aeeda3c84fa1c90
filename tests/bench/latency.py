"""Added latency: from a frame's receipt at the gateway to its verdict, and to the transcriber."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import uvloop

from tests.bench.null_transcriber import ARRIVALS_FILE
from tests.bench.paced import stream
from tests.bench.report import Result
from tests.bench.system import load, pipeline
from tests.bench.traced_gateway import TRACE_FILE, read

CONNECTIONS = 10
P50_GOAL_MS = 1.0
P99_GOAL_MS = 5.0


def run(*, quick: bool) -> list[Result]:
    """Percentiles at three shares of the capacity that was measured first."""
    seconds = 2 if quick else 10
    result = Result(
        "latency",
        "Added latency in ms, 10 connections, 2 verifiers, null recorder",
        [
            "load",
            "frames/s",
            "to the verdict: p50",
            "p95",
            "p99",
            "to the transcriber: p50",
            "p95",
            "p99",
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
    for share in (0.1, 0.5, 0.8):
        rate = capacity * share
        verdicts, arrivals = _at(rate, seconds)
        result.add(
            f"{share:.0%} of {capacity:,.0f} frames/s",
            rate,
            *_percentiles(verdicts),
            *_percentiles(arrivals),
        )
        if share == 0.5:
            p50, _, p99 = _percentiles(verdicts)
            result.goal("p50 to the verdict under 1 ms at 50 %", p50, p50 < P50_GOAL_MS)
            result.goal("p99 to the verdict under 5 ms at 50 %", p99, p99 < P99_GOAL_MS)
    result.notes.append(
        "the gateway notes each frame's receipt and verdict, the null transcriber its arrival; "
        "the load generator and the four processes of the pipeline share the cores"
    )
    return [result]


def _at(rate: float, seconds: float) -> tuple[list[float], list[float]]:
    """Latencies in ms at an open-loop rate: to the verdict, and to the transcriber."""
    with tempfile.TemporaryDirectory() as folder:
        trace, arrivals = Path(folder, "trace.json"), Path(folder, "arrivals.json")
        with pipeline(
            gateway_module="tests.bench.traced_gateway",
            env={TRACE_FILE: str(trace), ARRIVALS_FILE: str(arrivals)},
        ) as running:
            uvloop.run(
                stream(running.url, connections=CONNECTIONS, rate=rate, total=int(rate * seconds))
            )
            for stage in ("gateway", "transcriber"):
                running.processes[stage][0].terminate()
        return [frame.latency_ms for frame in read(trace)], json.loads(arrivals.read_text())


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return float(p50), float(p95), float(p99)
