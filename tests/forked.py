"""Stages that start in milliseconds: forked from one process that has imported everything.

Imports would otherwise be most of what a stage's start costs, and tests start hundreds of them.
What runs is the same ``__main__`` of the same module, in a process of its own, with its own
arguments and environment; only the imports are inherited. The tests of ``deploy/stt-server`` start
stages the ordinary way.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Final, TextIO

from deploy.tether import PR_SET_PDEATHSIG

PRELOAD: Final = ["tests.forked", "gateway.stage", "verifier.stage", "transcriber.stage"]
"""Modules that the server of forks imports, once."""

_context: Final = multiprocessing.get_context("forkserver")


def preload() -> None:
    """What stages import late, once they run; called where this module is imported for forks."""
    import transcriber.recorder.recorder

    transcriber.recorder.recorder.preload()


class ForkedStage:
    """What :class:`subprocess.Popen` would be of ``python -m MODULE ARGUMENTS``.

    Attributes:
        pid: of the process, which leads a session (and process group) of its own.
        stdout: standard output and error.
    """

    def __init__(self, module: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        _context.set_forkserver_preload([*PRELOAD, "tests.forked_preload"])
        readable, writable = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_run, args=(module, list(arguments), dict(env), writable)
        )
        self._looking = threading.Lock()  # the exit status can be read only once
        self._process.start()
        writable.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdout: TextIO = io.TextIOWrapper(
            io.FileIO(os.dup(readable.fileno())), encoding="utf-8", errors="replace"
        )
        readable.close()
        self._await_session()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        with self._looking:
            return self._process.exitcode

    def wait(self, timeout_s: float) -> int:
        """The exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout_s``.
        """
        deadline_s = time.monotonic() + timeout_s
        while (status := self.poll()) is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise subprocess.TimeoutExpired(self._process.name, timeout_s)
            multiprocessing.connection.wait([self._process.sentinel], left_s)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the process itself, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _await_session(self) -> None:
        """Wait until it leads its process group, by which it is killed."""
        while self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(self.pid) == self.pid:
                    return
            time.sleep(0.001)


def _run(module: str, arguments: list[str], env: dict[str, str], output: Connection) -> None:
    os.setsid()
    _die_with_the_test_run()
    for standard in (1, 2):
        os.dup2(output.fileno(), standard)
    output.close()
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out; log lines may wait for it


def _die_with_the_test_run() -> None:
    """A run that is killed leaves no stage behind: the server of forks ends with it, and this too.

    The server ends when nobody holds the other end of its pipe, which each fork would hold on to.
    """
    server = multiprocessing.forkserver._forkserver
    os.close(server._forkserver_alive_fd)  # type: ignore[attr-defined]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
