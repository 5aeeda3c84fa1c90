"""Frames per second from WebSocket through verifiers to a null recorder, against other servers."""

from __future__ import annotations

from tests.bench.report import Result, Spread
from tests.bench.system import Cost, load, pipeline, server

SINK_SHARE = 0.6


def run(*, quick: bool) -> list[Result]:
    """Throughput and CPU time, all in one run."""
    runs, frames = (1, 4_000) if quick else (3, 20_000)
    result = Result(
        "pipeline",
        "Throughput: frames of 4096 samples; CPU seconds per 1,000 frames; peak RSS in MiB",
        ["what", "connections", "frames/s", "gateway", "verifiers", "transcriber", "total", "RSS"],
    )
    connections = (1, 10) if quick else (1, 10, 100)
    sink = _others(result, "bare websockets sink", "tests.bench.sink", connections, frames, runs)
    stock = _others(
        result, "RealtimeSTT stt-server", "tests.bench.stock_server", connections, frames, runs
    )
    ours: list[Cost] = []
    for verifiers in (2,) if quick else (1, 2, 3, 4):
        with pipeline(verifiers=verifiers) as running:
            for count in connections if verifiers == 2 else (10,):
                costs = [
                    load(
                        running.url,
                        running.pids(),
                        connections=count,
                        frames=frames,
                        close=True,
                    )
                    for _ in range(runs)
                ]
                _add(result, f"this pipeline, {verifiers} verifiers", count, costs)
                if verifiers == 2 and count == 10:
                    ours = costs
    share = _median_rate(ours, "gateway") / _median_rate(sink, "server")
    result.goal(
        "gateway passes at least 60 % of the bare sink's frames per CPU second (10 connections)",
        share,
        share >= SINK_SHARE,
    )
    total = _median(ours, lambda cost: cost.frames / cost.total_cpu_s)
    theirs = _median_rate(stock, "server")
    result.goal(
        "frames per total CPU second, × RealtimeSTT's stt-server (10 connections)",
        total / theirs,
        total > theirs,
    )
    return [result]


def _others(
    result: Result, name: str, module: str, connections: tuple[int, ...], frames: int, runs: int
) -> list[Cost]:
    """Measure another server; its costs with 10 connections."""
    kept: list[Cost] = []
    with server(module) as (url, process):
        for count in connections:
            costs = [
                load(
                    url,
                    {"server": [process.pid]},
                    connections=count,
                    frames=frames,
                    close=False,
                )
                for _ in range(runs)
            ]
            _add(result, name, count, costs)
            if count == 10:
                kept = costs
    return kept


def _add(result: Result, name: str, connections: int, costs: list[Cost]) -> None:
    def per_thousand(stage: str) -> float | str:
        if stage not in costs[0].cpu_s:
            return "-"
        return _median(costs, lambda cost: 1_000 * cost.cpu_s[stage] / cost.frames)

    result.add(
        name,
        connections,
        Spread.of([cost.rate for cost in costs]),
        per_thousand("gateway"),
        per_thousand("verifier"),
        per_thousand("transcriber"),
        _median(costs, lambda cost: 1_000 * cost.total_cpu_s / cost.frames),
        " ".join(f"{mib:.0f}" for mib in costs[-1].rss_mib.values()),
    )


def _median_rate(costs: list[Cost], stage: str) -> float:
    return _median(costs, lambda cost: cost.per_cpu_s(stage))


def _median(costs: list[Cost], value: object) -> float:
    assert callable(value)
    return Spread.of([float(value(cost)) for cost in costs]).median
