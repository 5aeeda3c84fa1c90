"""Real processes for tests: start a stage, wait for what it prints, stop, kill or pause it.

::

    with Stages() as stages:
        verifier = stages.start("verifier", "--stall", "0.1")
        verifier.wait_for_line("is ready")
        verifier.pause()
        ...
        assert verifier.terminate() == 0

Every process is the leader of a process group of its own and is ended by its id, with all its
children, when the block is left or the test run ends, whatever happened in between.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from common.limit_settings import LimitSettings
from common.options import variable_of
from deploy import tether as tether_program
from tests.forked import ForkedStage

ROOT: Final = Path(__file__).resolve().parent.parent
"""The repository: where ``python -m STAGE`` is run."""
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.01
UNBOUNDED: Final = {
    variable_of(field): "0"
    for field in dataclasses.fields(LimitSettings)
    if field.name in ("max_final_wait_s", "max_lag_s")
}
"""However long finals wait and however late audio is heard, newcomers are let in."""

_running: set[StageProcess] = set()
T = TypeVar("T")


class StageProcess:
    """One child process and the lines that it has printed so far (standard output and error).

    Args:
        argv: what to execute; or, with ``forks``, a module to run as ``python -m`` does, and its
            arguments: see :mod:`tests.forked`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str = "",
        env: Mapping[str, str] | None = None,
        forks: bool = False,
    ) -> None:
        self.name = name or Path(argv[0]).name
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        # Tests and benches load engines on purpose; those of the bound on that say so.
        environment = {**UNBOUNDED, **os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._process: subprocess.Popen[str] | ForkedStage
        if forks:
            self._process = ForkedStage(argv[0], argv[1:], environment)
        else:
            self._process = subprocess.Popen(
                _tethered(argv),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        self.pid = self._process.pid
        _running.add(self)
        self._reader = threading.Thread(target=self._read, name=f"log of {self.name}", daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"{self.name} (pid {self.pid}, exit status {self._process.poll()})"

    @property
    def returncode(self) -> int | None:
        """Exit status; negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def alive(self) -> bool:
        """Whether the process still runs (or is paused)."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join(self.lines)

    @contextlib.contextmanager
    def unread(self) -> Iterator[None]:
        """A block in which nobody reads what it prints: the pipe fills, and lines wait."""
        with self._more:
            yield

    def wait_for_line(
        self, pattern: str, timeout_s: float = START_TIMEOUT_S, *, after: int = 0
    ) -> re.Match[str]:
        """The first match of the regular expression ``pattern`` in line ``after`` or later.

        Raises:
            AssertionError: the process ended or the time ran out; the message holds its output.
        """
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout_s
        position = after
        with self._more:
            while True:
                for line in self.lines[position:]:
                    if found := wanted.search(line):
                        return found
                position = max(position, len(self.lines))
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = (
                        "ended" if self._ended else f"printed nothing of the kind in {timeout_s} s"
                    )
                    raise AssertionError(
                        f"waiting for {pattern!r}: {self!r} {why}; its output:\n{self.output}"
                    )
                self._more.wait(left)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Exit status, once the process has ended and all its output was read.

        Raises:
            AssertionError: it still runs after ``timeout_s``.
        """
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self!r} still runs after {timeout_s} s; its output:\n{self.output}"
            ) from None
        self._reader.join(STOP_TIMEOUT_S)
        _running.discard(self)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send one signal to the process itself (not to its children)."""
        self._process.send_signal(number)

    def terminate(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to drain and stop (SIGTERM); its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> int:
        """End it and its children at once (SIGKILL); works on a paused process too."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP) and wait until the kernel has done so."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: _state_of(self.pid) in "TZX", f"{self!r} is stopped")

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                with self._more:
                    self.lines.append(line.rstrip("\n"))
                    self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()


class Stages:
    """A run directory of its own and the processes started in it; leaving the block ends both.

    Args:
        forks: fork the stages from a process that has imported them (:mod:`tests.forked`);
            measurements of memory, and programs without a guarded main module, want False.

    Attributes:
        run_dir: folder of the ipc sockets, short enough for their limit of 107 bytes.
    """

    def __init__(self, *, forks: bool = True) -> None:
        self._forks = forks
        self.run_dir = Path(tempfile.mkdtemp(prefix="stt", dir="/tmp"))
        self.processes: list[StageProcess] = []

    def endpoint(self, link: str) -> str:
        """The default endpoint of a link in this run directory, as the stages compute it."""
        return f"ipc://{self.run_dir}/{link}.sock"

    def start(
        self, stage: str, *options: str, env: Mapping[str, str] | None = None
    ) -> StageProcess:
        """Start ``python -m STAGE --run-dir … OPTIONS`` without waiting for it."""
        argv = [stage, "--run-dir", str(self.run_dir), *options]
        if not self._forks:
            argv = [sys.executable, "-m", *argv]
        process = StageProcess(argv, name=stage, env=env, forks=self._forks)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """End what still runs, at once, and remove the run directory."""
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if error is not None:  # what the processes said is the first thing one wants to know
            for process in self.processes:
                error.add_note(f"--- {process!r}:\n" + "\n".join(process.lines[-40:]))


def wait_until(
    condition: Callable[[], T],
    what: str,
    timeout_s: float = START_TIMEOUT_S,
    poll_s: float = POLL_S,
) -> T:
    """Call ``condition`` until it returns something true, which is returned.

    Raises:
        AssertionError: ``what`` did not happen in ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s} s still not so: {what}")
        time.sleep(poll_s)
    return value


def assert_quiet_when_interrupted_at_its_start(*argv: str) -> None:
    """``python -m`` of these says nothing on Ctrl-C while it imports, and ends with status 130."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", *argv],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith("msgspec\n"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert [line for line in rest.splitlines() if not line.startswith("import time:")] == []


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on at the moment.

    Below those that the kernel gives to outgoing connections (from 32768 on), one of which might
    otherwise take it before the server is up, or while a test has it down.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _tethered(argv: Sequence[str]) -> list[str]:
    """What is ended when this process is killed, as a stage is with its supervisor.

    Only what the main thread starts: the kernel asks for the thread's end, not the process's.
    """
    program = shutil.which(argv[0])
    if threading.current_thread() is not threading.main_thread() or program is None:
        return list(argv)
    tether = (sys.executable, tether_program.__file__, str(os.getpid()), os.devnull)
    return [*tether, program, *argv[1:]]


def _state_of(pid: int) -> str:
    """One letter of ``/proc/PID/stat``: T stopped, Z zombie, X (or no such process) dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


@atexit.register
def _end_all() -> None:
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
