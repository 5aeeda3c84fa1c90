"""What happens to the stages, put into words: ready, died and why, back again, given up.

Decides without I/O: told what supervisord saw, it returns the line to show.
"""

from __future__ import annotations

import os
import signal
from typing import Final, NamedTuple

from deploy.plan import Plan, reachable

CANNOT_START: Final = 2
"""Exit status of a stage whose options cannot be used: starting it again would not help."""
RETRY_S: Final = 10.0
"""Pause before a stage that died several times in a row is tried again."""


class Death(NamedTuple):
    """What follows from a stage's death.

    Attributes:
        line: what to show.
        exit_status: not None: the whole system cannot start and ends with this status.
    """

    line: str
    exit_status: int | None


class Watch:
    """Follows the stages of one system from start to stop."""

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._died_s: dict[str, float] = {}
        self._awaited: dict[str, None] = {}
        self._silent: set[str] = set()
        self.ready = False

    def awaited(self) -> list[str]:
        """Stages that were started and have not said yet that they are ready."""
        return list(self._awaited)

    def started(self, name: str) -> None:
        """A stage was started."""
        self._awaited[name] = None
        if not self.ready and name not in self._died_s:
            self._silent.add(name)

    def system_ready(self, plan: Plan, now_s: float) -> str:
        """The gateway is ready, and it is only with a verifier and a transcriber."""
        self.ready = True
        self._awaited.pop(plan.gateway.name, None)
        self._died_s.pop(plan.gateway.name, None)
        host, tls = reachable(plan.host), "s" if plan.tls else ""
        api = f"API http{tls}://{host}:{plan.api_port}/v1, " if plan.api_port else ""
        return (
            f"READY after {now_s - self._began_s:.1f} s: data ws{tls}://{host}:{plan.data_port}, "
            f"control ws{tls}://{host}:{plan.control_port}, "
            f"web page http{tls}://{host}:{plan.data_port}/, {api}"
            f"metrics {plan.metrics_url(plan.gateway)}/metrics"
        )

    def stage_ready(self, name: str, pid: int, now_s: float) -> str:
        """A stage said that it is ready; "" when that is no news."""
        self._awaited.pop(name, None)
        died_s = self._died_s.pop(name, None)
        if died_s is not None:
            return f"{name} is back after {now_s - died_s:.1f} s (pid {pid})"
        if name in self._silent:
            self._silent.remove(name)
            return ""
        return f"{name} joined (pid {pid})"

    def died(
        self, name: str, pid: int, wait_status: int, pause_s: float | None, now_s: float
    ) -> Death:
        """A stage ended though nobody asked it to.

        Args:
            wait_status: as ``os.waitpid`` gave it.
            pause_s: seconds until it is started again; None after too many deaths in a row.
        """
        self._awaited.pop(name, None)
        self._died_s.setdefault(name, now_s)
        why = cause(wait_status)
        if not self.ready and os.waitstatus_to_exitcode(wait_status) == CANNOT_START:
            return Death(f"{name} cannot start, its own lines say why ({why})", CANNOT_START)
        if pause_s is None and not self.ready:
            return Death(f"{name} cannot start: it died again and again ({why})", 1)
        if pause_s is None:
            pause_s = RETRY_S
        when = f"in {pause_s:.0f} s" if pause_s else "now"
        return Death(f"{name} died: {why} (pid {pid}); starting it again {when}", None)

    def stopped(self, name: str) -> str:
        """A stage was taken out of the system."""
        self._awaited.pop(name, None)
        self._died_s.pop(name, None)
        return f"{name} left"


def cause(wait_status: int) -> str:
    """Why a process ended: ``killed by SIGKILL`` or ``exit status 1``."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"exit status {code}"
    dumped = ", core dumped" if os.WCOREDUMP(wait_status) else ""
    try:
        return f"killed by {signal.Signals(-code).name}{dumped}"
    except ValueError:
        return f"killed by signal {-code}{dumped}"
