"""Live sessions on one modelled accelerator: how many, behind how many processes, and what limits.

``python -m tests.bench --only engine``. Recorders, links, gateway and verifiers are the real ones;
only the accelerator is a model (:mod:`tests.bench.modelled_engine`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import psutil

from deploy.health import samples
from tests.bench.modelled_engine import (
    ACCELERATORS,
    MODEL_VARIABLE,
    STAGE_VARIABLE,
    ModelledEngine,
)
from tests.bench.report import Result
from tests.bench.system import UNBOUNDED, free_ports
from tests.bench.talkers import Waits, talk
from tests.processes import StageProcess, Stages, wait_until

START_TIMEOUT_S: Final = 120
ROOM: Final = "400"
GOAL_S: Final = 0.5
MODULE: Final = "tests.bench.modelled_engine"
CORES: Final = 16
BUSY: Final = 0.8
"""Share of a core, or of the accelerator, that is counted on."""
SENTENCES: Final = 2


class Layout(NamedTuple):
    """Which processes there are.

    Attributes:
        engines: 0 where the engine runs within the one transcriber.
        steps: numbers of live sessions that are tried, one after the other.
    """

    name: str
    accelerator: str
    engines: int
    transcribers: int
    steps: tuple[int, ...]


LAYOUTS: Final = (
    Layout("engine within", "h100-torch", 0, 1, (16, 32, 48)),
    Layout("1 engine, 1 recorder process", "h100-torch", 1, 1, (16, 32, 48)),
    Layout("1 engine, 2 recorder processes", "h100-torch", 1, 2, (32, 48)),
    Layout("1 engine, 4 recorder processes", "h100-torch", 1, 4, (32, 48)),
    Layout("1 engine (10 s windows), 2", "h100-10s", 1, 2, (48, 64)),
)


class Running(NamedTuple):
    """A system that is ready."""

    url: str
    members: dict[str, list[StageProcess]]
    metrics_url: str
    """Of who has the engine."""
    prefix: str


class Step(NamedTuple):
    """One number of live sessions on one layout."""

    waits: Waits
    cores: dict[str, float]
    finals_per_s: float
    final_batch: float
    partial_batch: float


def run(*, quick: bool) -> list[Result]:
    """The table of layouts, and what it says of 16 cores."""
    result = table(
        "engine", "Live sessions on one modelled H100: p50/p95 from end of speech, and cores in use"
    )
    held: dict[Layout, tuple[int, Step]] = {}
    for layout in LAYOUTS[1:2] if quick else LAYOUTS:
        with _system(layout) as running:
            asyncio.run(_step(running, 2 * layout.transcribers))  # first uses are slow
            for count in (4,) if quick else layout.steps:
                step = asyncio.run(_step(running, count))
                _add(result, layout, count, step)
                if step.waits.heard and _p(step.waits.after_stop, 95) < GOAL_S:
                    held[layout] = (count, step)
    best = max((count for count, _ in held.values()), default=0)
    result.goal(
        f"sessions whose p95 from recording's end to text is under {GOAL_S} s", best, bool(best)
    )
    result.notes.extend(
        (
            "speech: from the last loud sample as it is spoken; it includes the pause that ends a "
            "recording, 0.7 s by default (its text is begun after 0.2 s of it); stop: from the end "
            "of that pause on; age: of the newest audio that a partial is of",
            f"at most {ModelledEngine.max_batch} requests a call; everybody speaks all the time, "
            "with pauses of 1.2 s; clients run on the same cores",
        )
    )
    return [result, _extrapolated(held)]


def table(name: str, title: str) -> Result:
    """An empty table of live sessions."""
    return Result(
        name,
        title,
        [
            "sessions",
            "layout",
            "speech p50 s",
            "speech p95 s",
            "stop p50 s",
            "stop p95 s",
            "partial age p50 s",
            "p95 s",
            "partials/s each",
            "finals/s",
            "batch final",
            "batch partial",
            "gateway",
            "verifiers",
            "recorders",
            "engine",
            "clients",
            "lost",
        ],
    )


def measure(result: Result, layout: Layout) -> int:
    """Try a layout's numbers of sessions until the goal is missed; the most that held it."""
    held = 0
    with _system(layout) as running:
        asyncio.run(_step(running, 2 * layout.transcribers))  # first uses are slow
        for count in layout.steps:
            step = asyncio.run(_step(running, count))
            _add(result, layout, count, step)
            if not step.waits.heard or _p(step.waits.after_stop, 95) >= GOAL_S:
                break
            held = count
    return held


def _extrapolated(held: Mapping[Layout, tuple[int, Step]]) -> Result:
    """What the measured CPU per session says of a machine with 16 cores and one accelerator."""
    result = Result(
        "engine-16",
        f"Sessions on {CORES} cores and one accelerator, by what a session was measured to take",
        [
            "layout",
            "ms of CPU/s each",
            "by cores",
            "one gateway",
            "one recorder process",
            "one engine",
            "accelerator, finals only",
            "limit",
        ],
    )
    for layout, (count, step) in held.items():
        each = {stage: cores / count for stage, cores in step.cores.items() if stage != "clients"}
        total = sum(each.values())
        accelerator = ACCELERATORS[layout.accelerator]
        finals = step.finals_per_s / count
        # A batch of which the call still answers within the goal.
        batch = int((GOAL_S - accelerator.fixed_s) / accelerator.each_s / 2)
        by_accelerator = BUSY * accelerator.most_per_s(max(1, batch)) / max(finals, 1e-9)
        by_cores = BUSY * CORES / total
        result.add(
            layout.name,
            1000 * total,
            int(by_cores),
            int(BUSY / each["gateway"]),
            int(BUSY / (each["recorders"])),
            int(BUSY / each["engine"]) if each.get("engine") else "-",
            int(by_accelerator),
            "accelerator" if by_accelerator < by_cores else "cores",
        )
        least = min(by_cores, by_accelerator)
        result.goal(f"400 sessions, {layout.name}", least, least >= 400)
    result.notes.append(
        "each process counts as one core at most; gateways and recorder processes may be several; "
        f"{BUSY:.0%} of a core or of the accelerator is counted on. Accelerator: in batches "
        f"of which two fit into {GOAL_S} s, with no partials at all"
    )
    return result


@contextlib.contextmanager
def _system(layout: Layout) -> Iterator[Running]:
    control, data = free_ports(2)
    with Stages(forks=False) as stages:
        gateway = stages.start(
            "gateway",
            *("--control_port", str(control), "--data_port", str(data)),
            *("--verify-data-integrity", "--max-sessions", ROOM),
            *UNBOUNDED,
        )
        members = {
            "gateway": [gateway],
            "verifiers": [stages.start("verifier") for _ in range(2)],
            "engine": [_modelled(stages, "engine", layout) for _ in range(layout.engines)],
        }
        options = ["--transcriber-sessions", ROOM]
        options += ["--engines-at", "run-dir"] if layout.engines else []
        members["recorders"] = [
            _modelled(stages, "transcriber", layout, *options) for _ in range(layout.transcribers)
        ]
        for process in (process for group in members.values() for process in group):
            process.wait_for_line("is ready", START_TIMEOUT_S)
        wait_until(
            lambda: gateway.output.count(" joined (engine") >= layout.transcribers,
            "the gateway knows all recorder processes",
        )
        owner = (members["engine"] or members["recorders"])[0]
        port = owner.wait_for_line(r"metrics at http://127.0.0.1:(\d+)")[1]
        prefix = "stt_engine" if layout.engines else "stt_transcriber"
        yield Running(f"ws://127.0.0.1:{data}", members, f"http://127.0.0.1:{port}", prefix)


def _modelled(stages: Stages, stage: str, layout: Layout, *options: str) -> StageProcess:
    env = {STAGE_VARIABLE: stage, MODEL_VARIABLE: layout.accelerator}
    return stages.start(MODULE, "--metrics-port", "0", *options, env=env)


async def _step(running: Running, count: int) -> Step:
    connected = asyncio.Barrier(count + 1)
    talking = [
        asyncio.create_task(talk(running.url, number, SENTENCES, connected))
        for number in range(count)
    ]
    async with asyncio.timeout(START_TIMEOUT_S):
        await connected.wait()
    families = {
        stage: [psutil.Process(process.pid) for process in group]
        for stage, group in running.members.items()
        if group
    } | {"clients": [psutil.Process(os.getpid())]}
    before, batches, started = _spent(families), _batches(running), time.perf_counter()
    waits = Waits()
    for one in await asyncio.gather(*talking):
        waits.add(one)
    seconds = time.perf_counter() - started
    after, now = _spent(families), _batches(running)
    changed = {key: now[key] - batches[key] for key in now}
    return Step(
        waits,
        {stage: (after[stage] - before[stage]) / seconds for stage in families},
        waits.heard / seconds,
        changed["final", "sum"] / max(1.0, changed["final", "count"]),
        changed["realtime", "sum"] / max(1.0, changed["realtime", "count"]),
    )


def _spent(families: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    return {
        stage: float(sum(sum(member.cpu_times()[:2]) for member in members))
        for stage, members in families.items()
    }


def _batches(running: Running) -> dict[tuple[str, str], float]:
    """Calls and requests so far, by kind."""
    found = {
        (name, dict(labels).get("kind", "")): value
        for (name, labels), value in samples(running.metrics_url, 5.0).items()
    }
    return {
        (kind, what): sum(
            found.get((f"{running.prefix}_batch_size_{what}", one), 0.0) for one in kinds
        )
        for kind, kinds in (("final", ("final", "early")), ("realtime", ("realtime",)))
        for what in ("sum", "count")
    }


def _add(table: Result, layout: Layout, count: int, step: Step) -> None:
    waits, cores = step.waits, step.cores
    speaking_s = sum(waits.said_s)
    table.add(
        count,
        layout.name,
        *(_p(waits.after_speech, q) for q in (50, 95)),
        *(_p(waits.after_stop, q) for q in (50, 95)),
        *(_p(waits.partial_ages, q) for q in (50, 95)),
        len(waits.partial_ages) / max(speaking_s, 1e-9),
        step.finals_per_s,
        step.final_batch,
        step.partial_batch,
        *(cores.get(stage, 0.0) for stage in ("gateway", "verifiers", "recorders", "engine")),
        cores["clients"],
        f"{waits.spoken - waits.heard + waits.refused * SENTENCES}/{count * SENTENCES}",
    )


def _p(values: Sequence[float], percent: int) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")
