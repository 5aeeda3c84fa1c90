"""Added latency: from a frame's receipt at the gateway to its verdict, and to the transcriber."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from common.events import END_OF_STREAM
from tests.bench import frames
from tests.bench.null_transcriber import ARRIVALS_FILE
from tests.bench.report import Result
from tests.bench.system import load, pipeline

CONNECTIONS = 10
PREPARED = 64
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
        "clients ask for verdict events, which cost the gateway more than verdicts alone; "
        "load generators and stages share the cores"
    )
    return [result]


def _at(rate: float, seconds: float) -> tuple[list[float], list[float]]:
    """Latencies in ms at an open-loop rate: to the verdict, and to the transcriber."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "arrivals.json")
        with pipeline(env={ARRIVALS_FILE: str(target)}) as running:
            verdicts = uvloop.run(_paced(running.url, rate, seconds))
            running.processes["transcriber"][0].terminate()
        return verdicts, json.loads(target.read_text())


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return float(p50), float(p95), float(p99)


async def _paced(url: str, rate: float, seconds: float) -> list[float]:
    """Send at a rate over all connections in turn; the latencies that verdict events name."""
    latencies: list[float] = []
    messages = [frames.message(number) for number in range(PREPARED)]
    clients = [
        await connect(f"{url}/?events=integrity", compression=None, max_queue=None)
        for _ in range(CONNECTIONS)
    ]
    readers = [asyncio.create_task(_read(client, latencies)) for client in clients]
    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        ahead = started + number / rate - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        await clients[number % CONNECTIONS].send(messages[number % PREPARED])
    for client in clients:
        await client.send(END_OF_STREAM)
    await asyncio.gather(*readers)
    return latencies


async def _read(client: ClientConnection, latencies: list[float]) -> None:
    async for text in client:
        event = json.loads(text)
        if event["type"] == "verdict":
            latencies.append(event["latency_ms"])
