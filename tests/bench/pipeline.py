"""Frames per second from WebSocket through verifiers to a recorder, against other servers.

All are sent the same bytes. The null recorder is what RealtimeSTT's servers are compared with:
neither of them runs a voice detector on the frames of this table. Its ``stt-server`` is given a
recorder that does nothing; its production server collects the frames of a turn and leaves it to the
client to say where an utterance ends. The rows with real recorders show what finding that costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from tests.bench.production_client import production
from tests.bench.report import Result, Spread
from tests.bench.system import Cost, load, pipeline, server
from tests.processes import StageProcess

SINK_SHARE = 0.5
"""Of a bare sink's frames per CPU second, for the gateway."""
SERVER_SHARES = (0.7, 2.0)
"""Of those of the other servers in :data:`OTHERS`, for all stages together."""
COMPARED_CONNECTIONS = 10
COMPARED_VERIFIERS = 2
RECORDED_FRAMES = 2_000
"""With real recorders, which take some twenty times what all else does."""


class Other(NamedTuple):
    """A server that the pipeline is compared with, and the kind of load that it takes."""

    name: str
    kind: str
    start: Callable[[], AbstractContextManager[tuple[str, StageProcess]]]


OTHERS = (
    Other("bare websockets sink", "plain", lambda: server("tests.bench.sink")),
    Other("RealtimeSTT stt-server", "plain", lambda: server("tests.bench.stock_server")),
    Other("RealtimeSTT stt-server-production", "production", lambda: production("null")),
)


def run(*, quick: bool) -> list[Result]:
    """Throughput and CPU time, all in one run."""
    runs, frames = (1, 4_000) if quick else (3, 6_000)
    connections = (10,) if quick else (1, 10, 100)
    result = Result(
        "pipeline",
        "Throughput: frames of 4096 samples; CPU seconds per 1,000 frames; peak RSS in MiB",
        ["what", "connections", "frames/s", "gateway", "verifiers", "transcriber", "total", "RSS"],
    )
    others: dict[str, list[Cost]] = {}
    for name, kind, start in OTHERS:
        with start() as (url, process):
            pids = {"server": [process.pid]}
            for count in connections:
                costs = _measure(url, pids, count, frames, runs, kind)
                _add(result, name, count, costs)
                if count == COMPARED_CONNECTIONS:
                    others[name] = costs
    ours: list[Cost] = []
    for verifiers in (COMPARED_VERIFIERS,) if quick else (1, 2, 3, 4):
        with pipeline(verifiers=verifiers) as running:
            compared = verifiers == COMPARED_VERIFIERS
            for count in connections if compared else (COMPARED_CONNECTIONS,):
                costs = _measure(running.url, running.pids(), count, frames, runs)
                _add(result, f"this pipeline, {verifiers} verifiers", count, costs)
                if compared and count == COMPARED_CONNECTIONS:
                    ours = costs
    with pipeline(transcriber="transcriber", transcriber_options=("--engine", "null")) as running:
        few = RECORDED_FRAMES // 8 if quick else RECORDED_FRAMES
        costs = _measure(running.url, running.pids(), COMPARED_CONNECTIONS, few, 1)
        _add(result, "this pipeline, 2 verifiers, real recorders", COMPARED_CONNECTIONS, costs)
    _goals(result, ours, others)
    return [result]


def _measure(
    url: str,
    pids: Mapping[str, list[int]],
    connections: int,
    frames: int,
    runs: int,
    kind: str = "pipeline",
) -> list[Cost]:
    return [load(url, pids, connections=connections, frames=frames, kind=kind) for _ in range(runs)]


def _goals(result: Result, ours: list[Cost], others: Mapping[str, list[Cost]]) -> None:
    """All with as many connections, in the same run."""
    sink, *servers = (other.name for other in OTHERS)
    share = _median(ours, lambda cost: cost.per_cpu_s("gateway")) / _median(
        others[sink], lambda cost: cost.per_cpu_s("server")
    )
    result.goal(
        f"gateway passes at least {SINK_SHARE:.0%} of the bare sink's frames per CPU second",
        share,
        share >= SINK_SHARE,
    )
    per_cpu_s = _median(ours, lambda cost: cost.frames / cost.total_cpu_s)
    for name, least in zip(servers, SERVER_SHARES, strict=True):
        ratio = per_cpu_s / _median(others[name], lambda cost: cost.frames / cost.total_cpu_s)
        result.goal(
            f"frames per total CPU second, × {name} (at least {least:g})", ratio, ratio >= least
        )
    result.notes.append(
        f"goals compare {COMPARED_CONNECTIONS} connections and {COMPARED_VERIFIERS} verifiers with "
        "null recorders; neither of RealtimeSTT's servers verifies, orders or retains frames, and "
        "neither runs a voice detector here: the row with real recorders does"
    )


def _add(result: Result, name: str, connections: int, costs: Sequence[Cost]) -> None:
    def per_thousand(stage: str) -> Spread | str:
        if stage not in costs[0].cpu_s:
            return "-"
        return Spread.of([1_000 * cost.cpu_s[stage] / cost.frames for cost in costs])

    result.add(
        name,
        connections,
        Spread.of([cost.rate for cost in costs]),
        per_thousand("gateway"),
        per_thousand("verifier"),
        per_thousand("transcriber"),
        Spread.of([1_000 * cost.total_cpu_s / cost.frames for cost in costs]),
        " ".join(f"{mib:.0f}" for mib in costs[-1].rss_mib.values()),
    )


def _median(costs: Sequence[Cost], value: Callable[[Cost], float]) -> float:
    return Spread.of([value(cost) for cost in costs]).median
