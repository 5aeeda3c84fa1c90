"""Runs the pipeline, or what it is compared with, under load, and reads what that cost."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import psutil

from tests.processes import ROOT, StageProcess, Stages

LOAD_TIMEOUT_S: Final = 240
SETTLE_S: Final = 0.3
SETTLE_TIMEOUT_S: Final = 15.0
UNBOUNDED: Final = (
    *("--max-speed", "0", "--address-connections", "1000000"),
    *("--address-opens", "1000000"),
)
"""What is measured here is the pipeline, not the bounds of one address."""
LASTING: Final = ("steady", "paced")
"""Kinds of load whose sessions end only when they are told to."""
NULL_TRANSCRIBER: Final = "tests.bench.null_transcriber"


class Cost(NamedTuple):
    """One run: frames, wall time, and CPU time and memory by stage.

    Attributes:
        ends_cpu_s: of a steady load: CPU time by stage that the ends of its sessions took.
    """

    frames: int
    seconds: float
    cpu_s: dict[str, float]
    rss_mib: dict[str, float]
    ends_cpu_s: Mapping[str, float] = MappingProxyType({})

    @property
    def rate(self) -> float:
        """Frames per second of wall time."""
        return self.frames / self.seconds

    @property
    def total_cpu_s(self) -> float:
        """CPU time of all server processes."""
        return sum(self.cpu_s.values())

    def per_thousand(self, stage: str) -> float:
        """Milliseconds of CPU time that one stage takes for a thousand frames."""
        return 1e6 * self.cpu_s[stage] / self.frames

    def per_cpu_s(self, stage: str) -> float:
        """Frames that one stage passes per second of its own CPU time."""
        return self.frames / max(self.cpu_s[stage], 1e-9)


def free_ports(count: int) -> list[int]:
    """TCP ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Pipeline(NamedTuple):
    """A pipeline that is ready: its URL and its processes by stage."""

    url: str
    metrics_port: int
    stages: Stages
    processes: dict[str, list[StageProcess]]

    def pids(self) -> dict[str, list[int]]:
        """Process ids by stage."""
        return {name: [p.pid for p in members] for name, members in self.processes.items()}


@contextlib.contextmanager
def pipeline(
    *options: str,
    verifiers: int = 2,
    gateway_module: str = "gateway",
    transcriber: str = NULL_TRANSCRIBER,
    transcriber_options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Pipeline]:
    """Start gateway, verifiers and a transcriber (the null one by default); verification is on."""
    control, data, metrics = free_ports(3)
    with Stages(forks=False) as stages:
        gateway = stages.start(
            gateway_module,
            *("--control_port", str(control), "--data_port", str(data)),
            *("--metrics-port", str(metrics), "--verify-data-integrity"),
            *UNBOUNDED,
            *options,
            env=env,
        )
        pool = [stages.start("verifier") for _ in range(verifiers)]
        worker = stages.start(transcriber, *transcriber_options, env=env)
        for _ in pool:
            gateway.wait_for_line(r"verifier \S+ joined")
        gateway.wait_for_line(r"transcriber \S+ joined")
        yield Pipeline(
            f"ws://127.0.0.1:{data}",
            metrics,
            stages,
            {"gateway": [gateway], "verifier": pool, "transcriber": [worker]},
        )


@contextlib.contextmanager
def server(module: str, *options: str) -> Iterator[tuple[str, StageProcess]]:
    """Start one of the servers that the pipeline is compared with; its URL and process."""
    (port,) = free_ports(1)
    process = StageProcess([sys.executable, "-m", module, str(port), *options], name=module)
    try:
        process.wait_for_line("is ready|Uvicorn running")
        yield f"ws://127.0.0.1:{port}", process
    finally:
        process.kill()


def load(
    url: str,
    pids: Mapping[str, list[int]],
    *,
    connections: int,
    frames: int,
    kind: str = "pipeline",
) -> Cost:
    """Send ``frames`` over ``connections`` and read what that cost, connecting not counted.

    Args:
        kind: of server, one of :data:`tests.bench.load.KINDS`; for those that are
            lasting, what sessions cost at their beginning and end is not counted either.
    """
    argv = [sys.executable, "-m", "tests.bench.load", kind, url, str(connections), str(frames)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdout.readline()  # connected
        before = _settled_cpu_s(pids)
        word, after = "go\n", None
        try:
            if kind in LASTING:
                client.stdin.write("go\n")
                client.stdin.flush()
                client.stdout.readline()  # sent
                word, after = "end\n", _settled_cpu_s(pids)
            output, _ = client.communicate(word, timeout=LOAD_TIMEOUT_S)
        except BaseException:
            client.kill()
            raise
    if client.returncode:
        raise RuntimeError(f"the load generator failed with status {client.returncode}")
    report = json.loads(output)
    ended = _cpu_s(pids)
    after = after or ended
    return Cost(
        report["frames"],
        report["seconds"],
        {stage: after[stage] - before[stage] for stage in pids},
        {
            stage: max(psutil.Process(pid).memory_info().rss for pid in members) / 2**20
            for stage, members in pids.items()
        },
        {stage: ended[stage] - after[stage] for stage in pids},
    )


def _settled_cpu_s(pids: Mapping[str, list[int]]) -> dict[str, float]:
    """CPU time so far, once the servers have had nothing to do for two looks on end."""
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    before, quiet = _cpu_s(pids), 0
    while True:
        time.sleep(SETTLE_S)
        now = _cpu_s(pids)
        busy_s = sum(now.values()) - sum(before.values())
        quiet = quiet + 1 if busy_s < SETTLE_S / 10 else 0
        if quiet == 2 or time.monotonic() > deadline_s:
            return now
        before = now


def _cpu_s(pids: Mapping[str, list[int]]) -> dict[str, float]:
    def spent(pid: int) -> float:
        # All threads, in ns: the clock behind a process's times ticks in 10 ms.
        spent_ns = 0
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                spent_ns += int((thread / "schedstat").read_text().split()[0])
        return spent_ns / 1e9

    return {stage: sum(spent(pid) for pid in members) for stage, members in pids.items()}
