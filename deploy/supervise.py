"""supervisord in this process: starts the stages, restarts them, shows what they print.

supervisord restarts and stops; this module adds what a terminal user wants to see, waits for
readiness, and gives up on a system that cannot start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.poller import Poller
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor

from common.errors import SettingsError
from deploy import plan as plans
from deploy.console import Console, Tone
from deploy.health import hangs, health
from deploy.plan import Plan
from deploy.watch import RETRY_S, Watch

IDLE_S: Final = 1.0
AWAITING_S: Final = 0.1
"""How often to look at the stages while one starts or stops."""
REPORT_S: Final = 15.0
"""How often to say what a start is waiting for."""
HEALTH_S: Final = 5.0
"""How often to ask the stages whether their loops turn."""
STOPS: Final = (signal.SIGTERM,)
"""How a stage is asked to stop."""
NEVER_RAN: Final = 127 << 8
"""Wait status of a process that could not be forked, as a shell would give it."""


class _PromptPoller(Poller):  # type: ignore[misc]
    """supervisord's poll, which a signal wakes at once: it would sleep on for up to a second."""

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self.patience_s = IDLE_S
        self._wake_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        self.register_readable(self._wake_fd)
        readable, writable = super().poll(min(timeout, self.patience_s))
        if self._wake_fd in readable:
            os.read(self._wake_fd, 4096)
        return [fd for fd in readable if fd != self._wake_fd], list(writable)


class _Options(ServerOptions):  # type: ignore[misc]
    """supervisord's options, which remember how each process ended."""

    def __init__(self) -> None:
        super().__init__()
        self.first = True
        self.test = False
        self.poller = _PromptPoller(self)
        self.wait_status: dict[int, int] = {}

    def waitpid(self) -> tuple[int | None, int | None]:
        pid, status = super().waitpid()
        if pid:
            self.wait_status[pid] = status
        return pid, status

    def fork(self) -> int:
        """Hold back a stop in the child until :meth:`execve`: until then this process's handlers
        would take it there, and the stage would start as if nobody had asked it to end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return pid

    def execve(self, filename: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """In the child: become the stage, or end where a stop came meanwhile."""
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        super().execve(filename, argv, env)

    def setsignals(self) -> None:
        under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().setsignals()
        if under_nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


class Supervision(Supervisor):  # type: ignore[misc]
    """supervisord for one system.

    Attributes:
        exit_status: of ``stt-server``, once :meth:`run_system` has returned.
    """

    def __init__(self, plan: Plan, console: Console) -> None:
        options = _Options()
        options.realize(["-c", str(Path(plan.run_dir) / plans.CONFIG_FILE)])
        super().__init__(options)
        self._folder = plan.folder
        self._plan = plan
        self._console = console
        self._watch = Watch(time.monotonic())
        self._report_s = time.monotonic() + REPORT_S
        self._retry_s: dict[str, float] = {}
        self._health_s = time.monotonic() + HEALTH_S
        self._stop_began_s = 0.0
        self.exit_status = 0

    def run_system(self) -> int:
        """Run the stages until a signal or the ``stop`` command; the exit status."""
        with contextlib.suppress(ExitNow):
            self.main()
        seconds = time.monotonic() - self._stop_began_s
        self._console.say(f"stopped in {seconds:.1f} s, nothing is left running")
        return self.exit_status

    # What supervisord calls.

    def runforever(self) -> None:
        """Listen to what supervisord sees, then run its loop."""
        for kind, listener in (
            (events.ProcessLogStdoutEvent, self._printed),
            (events.ProcessStateStartingEvent, self._starting),
            (events.ProcessStateBackoffEvent, self._died),
            (events.ProcessStateExitedEvent, self._died),
            (events.ProcessStateFatalEvent, self._gave_up),
            (events.ProcessStateStoppedEvent, self._stopped),
            (events.SupervisorStoppingEvent, self._stopping),
        ):
            events.subscribe(kind, listener)
        super().runforever()

    def tick(self, now: float | None = None) -> None:
        """Once in each round of the loop."""
        super().tick(now)
        if self.options.mood < SupervisorStates.RUNNING:
            return
        self._look_for_readiness()
        for name, retry_s in list(self._retry_s.items()):
            if time.monotonic() >= retry_s:
                del self._retry_s[name]
                if process := self._given_up(name):
                    process.spawn()
        if time.monotonic() >= self._health_s:
            self._end_hanging_stages()
            self._health_s = time.monotonic() + HEALTH_S
        awaiting = self._watch.awaited() or ProcessStates.STOPPING in self._states()
        self.options.poller.patience_s = AWAITING_S if awaiting else IDLE_S

    def handle_signal(self) -> None:
        """The first stop signal lets the stages drain; a second ends them at once."""
        number = self.options.get_signal()
        if number not in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            return
        if self.options.mood >= SupervisorStates.RUNNING:
            self.options.mood = SupervisorStates.SHUTDOWN
            return
        self._console.say("ending everything at once", Tone.BAD)
        for group in self.process_groups.values():
            for process in group.processes.values():
                if process.pid:
                    os.killpg(process.pid, signal.SIGKILL)

    # What the events say.

    def _printed(self, event: Any) -> None:
        self._console.stage_output(event.process.config.name, event.data)

    def _starting(self, event: Any) -> None:
        self._watch.started(event.process.config.name)

    def _died(self, event: Any) -> None:
        process = event.process
        name, pid = process.config.name, process.pid
        wait_status = self._end(process)
        pause_s: float | None = 0.0
        if event.__class__ is events.ProcessStateBackoffEvent:
            # the last pause is followed by FATAL, which _gave_up turns into a longer one
            pause_s = process.backoff if process.backoff <= process.config.startretries else None
        if self.options.mood < SupervisorStates.RUNNING:
            return
        death = self._watch.died(name, pid, wait_status, pause_s, time.monotonic())
        self._console.say(death.line, Tone.BAD, died=name)
        if death.exit_status is not None:
            self.exit_status = death.exit_status
            self.options.mood = SupervisorStates.SHUTDOWN

    def _gave_up(self, event: Any) -> None:
        self._retry_s[event.process.config.name] = time.monotonic() + RETRY_S

    def _stopped(self, event: Any) -> None:
        name = event.process.config.name
        if os.waitstatus_to_exitcode(self._end(event.process)) == -signal.SIGKILL:
            self._console.say(f"{name} did not stop when asked and was killed", Tone.BAD)
        elif self.options.mood >= SupervisorStates.RUNNING:
            self._console.say(self._watch.stopped(name), left=name)

    def _stopping(self, _: Any) -> None:
        self._stop_began_s = time.monotonic()
        self._console.say("stopping (Ctrl-C once more ends everything at once)")

    # Helpers.

    def _end(self, process: Any) -> int:
        """Show a stage's last words and end what it left behind; its wait status."""
        self._console.stage_ended(process.config.name)
        if process.pid:  # 0: it never ran; as a group that would be this process's own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        status: int = self.options.wait_status.pop(process.pid, NEVER_RAN)
        return status

    def _states(self) -> set[int]:
        groups = self.process_groups.values()
        return {process.state for group in groups for process in group.processes.values()}

    def _pid(self, name: str) -> int:
        """A stage's process; -1 while it has none."""
        group = self.process_groups.get(name)
        return (group.processes[name].pid if group else 0) or -1

    def _end_hanging_stages(self) -> None:
        """supervisord starts them again, as it does whatever dies."""
        for stage in self._plan.stages:
            pid = self._pid(stage.name)
            if pid > 0 and (why := hangs(self._plan.metrics_url(stage), pid)):
                self._console.say(f"{stage.name} hangs, killing it: {why}", Tone.BAD)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)

    def _given_up(self, name: str) -> Any:
        group = self.process_groups.get(name)
        process = group.processes[name] if group else None
        return process if process and process.state == ProcessStates.FATAL else None

    def _look_for_readiness(self) -> None:
        awaited = self._watch.awaited()
        if not awaited:
            return
        with contextlib.suppress(SettingsError):  # somebody cleared the run dir: go on without
            self._plan = plans.load(self._folder)
        now_s = time.monotonic()
        if not self._watch.ready:
            gateway = self._plan.gateway
            answer = health(self._plan.metrics_url(gateway), pid=self._pid(gateway.name))
            if answer.ready:
                line = self._watch.system_ready(self._plan, now_s)
                self._console.say(line, Tone.GOOD, event="ready")
            elif now_s >= self._report_s:
                self._report_s = now_s + REPORT_S
                self._console.say(f"not ready yet: {answer.reason}")
            return
        for stage in self._plan.stages:
            if stage.name not in awaited:
                continue
            pid = self._pid(stage.name)
            ready = health(self._plan.metrics_url(stage), pid=pid).ready
            if ready and (line := self._watch.stage_ready(stage.name, pid, now_s)):
                self._console.say(line, Tone.GOOD, joined=stage.name)
