"""The subcommands of ``stt-server``: look at, scale and stop a system that runs."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from supervisor.xmlrpc import Faults, SupervisorTransport

from common.errors import SettingsError
from common.options import ENVIRONMENT_PREFIX, check_range
from common.settings import default_run_dir
from deploy import plan as plans
from deploy.health import health, sample
from deploy.plan import (
    CONTROL_SOCKET,
    ENGINE,
    GATEWAY,
    MOST_STAGES,
    TRANSCRIBER,
    VERIFIER,
    Plan,
    Stage,
)
from deploy.run_dir import is_in_use

SESSION_METRICS: Final = {
    GATEWAY: ("stt_gateway_sessions",),
    TRANSCRIBER: ("stt_transcriber_sessions",),
}
"""Gauges that count sessions, by stage."""
SCALABLE: Final = {
    "gateways": GATEWAY,
    "verifiers": VERIFIER,
    "transcribers": TRANSCRIBER,
    "engines": ENGINE,
}
RUN_DIR_VARIABLE: Final = f"{ENVIRONMENT_PREFIX}RUN_DIR"


class StageStatus(NamedTuple):
    """One row of ``stt-server status``.

    Attributes:
        pid: 0 while it does not run.
        state: ``ready``, or in the stage's or supervisord's own words what it is instead.
        uptime_s: since its last start.
        sessions: clients it serves; None where that does not apply or is not known.
        metrics_url: of its metrics.
    """

    name: str
    pid: int
    state: str
    uptime_s: int
    sessions: int | None
    metrics_url: str


class System:
    """A running system, over supervisord's XML-RPC on a Unix socket in the run dir.

    Raises:
        SettingsError: nothing runs there.
    """

    def __init__(self, run_dir: str) -> None:
        self.folder = Path(run_dir or default_run_dir()).absolute()
        if not is_in_use(self.folder):
            raise SettingsError(f"no system runs in {self.folder} (--run-dir names another)")
        self.plan: Plan = plans.load(self.folder)
        transport = SupervisorTransport(None, None, f"unix://{self.folder / CONTROL_SOCKET}")
        self.supervisor: Any = xmlrpc.client.ServerProxy("http://stt", transport).supervisor

    def status(self) -> list[StageStatus]:
        """What each stage does, in the order gateway, verifiers, transcribers."""
        infos = {info["name"]: info for info in self.supervisor.getAllProcessInfo()}
        order = (GATEWAY, VERIFIER, TRANSCRIBER, ENGINE)
        stages = [stage for kind in order for stage in self.plan.of_kind(kind)]
        with ThreadPoolExecutor(max_workers=max(len(stages), 1)) as pool:
            rows = pool.map(lambda stage: self._row(stage, infos.get(stage.name, {})), stages)
        return list(rows)

    def scale(self, kind: str, count: int) -> Plan:
        """Add or take away stages of one kind until there are ``count``; what was then planned."""
        with self._alone():
            plan = plans.load(self.folder)
            plan = plan.scaled(kind, count, plans.next_free_port(plan.metrics_host, ()))
            plans.save(plan)
            (added, _, removed), *_ = self.supervisor.reloadConfig()
            for name in removed:
                self.supervisor.stopProcessGroup(name)  # waits until it has drained
                self.supervisor.removeProcessGroup(name)
            for name in added:
                self.supervisor.addProcessGroup(name)
        return plan

    def stop(self, timeout_s: float) -> bool:
        """Ask for a stop, unless it stops already, and wait; whether the end came in time."""
        try:
            self.supervisor.shutdown()
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.SHUTDOWN_STATE:
                raise
        deadline = time.monotonic() + timeout_s
        while is_in_use(self.folder):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _row(self, stage: Stage, info: dict[str, Any]) -> StageStatus:
        url = self.plan.metrics_url(stage)
        state, sessions = str(info.get("statename", "unknown")).lower(), None
        if info.get("pid"):
            answer = health(url, pid=info["pid"])
            state = "ready" if answer.ready else answer.reason
            if metrics := SESSION_METRICS.get(stage.kind):
                count = sample(url, metrics)
                sessions = None if count is None else int(count)
        uptime_s = info["now"] - info["start"] if info.get("pid") else 0
        pid = info.get("pid", 0)
        return StageStatus(stage.name, pid, state, uptime_s, sessions, f"{url}/metrics")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time."""
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"stt-server {command}", description=description)
    parser.add_argument(
        "--run-dir",
        default=os.environ.get(RUN_DIR_VARIABLE, ""),
        help=f"run dir of the system [per user] [env var: {RUN_DIR_VARIABLE}]",
    )
    return parser


@contextlib.contextmanager
def foreign_errors() -> Iterator[None]:
    """Say in an operator's words what supervisord answers.

    Raises:
        SettingsError: it refused, or does not answer.
    """
    try:
        yield
    except xmlrpc.client.Fault as fault:
        is_stopping = fault.faultCode == Faults.SHUTDOWN_STATE
        why = "it is stopping" if is_stopping else fault.faultString
        raise SettingsError(f"the system refused: {why}") from None
    except (OSError, http.client.HTTPException) as error:
        raise SettingsError(f"the system does not answer: {error}") from None


def status(argv: Sequence[str]) -> int:
    """``stt-server status``: 0 when every stage is ready, else 1."""
    parser = _parser("status", "Shows the stages of a running system.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--watch", action="store_true", help="look again and again, with rates and latencies"
    )
    parser.add_argument(
        "--interval", type=float, default=2.0, metavar="S", help="seconds between looks [2]"
    )
    arguments = parser.parse_args(argv)
    check_range("--interval", arguments.interval, 0.1, 3600.0)
    with foreign_errors():
        system = System(arguments.run_dir)
        if arguments.watch:
            from deploy.live import watch

            watch(system, arguments.interval, as_json=arguments.json)
            return 0
        rows = system.status()
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        print(render(rows))
    return int(any(row.state != "ready" for row in rows))


def uptime_text(row: StageStatus) -> str:
    """Hours, minutes and seconds since a stage's last start."""
    minutes, seconds = divmod(row.uptime_s, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if row.pid else "-"


def render(rows: Sequence[StageStatus]) -> str:
    """The rows as a table of text."""
    cells = [("stage", "pid", "state", "uptime", "sessions", "metrics")]
    for row in rows:
        uptime = uptime_text(row)
        sessions = "-" if row.sessions is None else str(row.sessions)
        cells.append((row.name, str(row.pid or "-"), row.state, uptime, sessions, row.metrics_url))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def scale(argv: Sequence[str]) -> int:
    """``stt-server scale verifiers N``."""
    parser = _parser("scale", "Adds or takes away stages of a running system.")
    parser.add_argument("what", choices=SCALABLE)
    parser.add_argument("count", type=int, metavar="N", help="how many there shall be")
    arguments = parser.parse_args(argv)
    check_range(arguments.what, arguments.count, 0, MOST_STAGES)
    kind = SCALABLE[arguments.what]
    with foreign_errors():
        system = System(arguments.run_dir)
        if kind == GATEWAY:
            check_range(arguments.what, arguments.count, 1, MOST_STAGES)
            if not system.plan.share_ports:
                raise SettingsError(
                    "this system's gateway does not share its ports: start it with --share-ports "
                    "or --gateways N"
                )
        before = len(system.plan.of_kind(kind))
        if kind == ENGINE and not before:
            raise SettingsError(
                "this system's transcribers have their engines within: start it with --engines N"
            )
        check_range(arguments.what, arguments.count, int(kind == ENGINE), MOST_STAGES)
        plan = system.scale(kind, arguments.count)
    print(f"{arguments.what}: {before} before, now {len(plan.of_kind(kind))}")
    return 0


def stop(argv: Sequence[str]) -> int:
    """``stt-server stop``: 0 once nothing runs any more."""
    arguments = _parser("stop", "Drains and stops a running system.").parse_args(argv)
    with foreign_errors():
        system = System(arguments.run_dir)
        timeout_s = len(system.plan.stages) * (system.plan.drain_s + 5)
        if not system.stop(timeout_s):
            print(f"stt-server: still running after {timeout_s:.0f} s", file=sys.stderr)
            return 1
    print("stopped")
    return 0
