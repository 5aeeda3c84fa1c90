"""A process that has loaded PocketSphinx' model once, and is forked for each worker.

Loading takes a third of a second of CPU and 95 MB; a fork takes milliseconds and shares the memory.
It is safe here: ``pocketsphinx_worker``, which is what is forked, has one thread and imports
nothing but PocketSphinx.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

from transcriber.engines.base import EngineError

_SCRIPT: Final = Path(__file__).with_name("pocketsphinx_worker.py")
_START_TIMEOUT_S: Final = 60.0
_PID: Final = struct.Struct("<I")


class WorkerDiedError(EngineError):
    """A worker process ended or hung in the middle of a request."""


class Born:
    """A worker that was forked, and the pipes to it. Not a child of this process.

    Attributes:
        requests: what is written here it reads.
        replies: what it writes is read here; ends when it ends.
    """

    def __init__(self, pid: int, descriptor: int, requests: int, replies: int) -> None:
        self.pid = pid
        self.requests = requests
        self.replies = replies
        self._descriptor = descriptor

    def kill(self) -> None:
        """From any thread, before :meth:`release`."""
        with contextlib.suppress(OSError):  # it is dead, or released
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def release(self) -> None:
        """End it, wait for its end, and close the pipes; once."""
        self.kill()
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.poll(1000 * _START_TIMEOUT_S)
        for descriptor in (self._descriptor, self.requests, self.replies):
            os.close(descriptor)


class Nursery:
    """Forks workers of one quality. Used by one thread, on whose life theirs depend.

    Args:
        fast: they are less good, and give way to others.
    """

    def __init__(self, fast: bool) -> None:
        self._arguments = ("fast", "10") if fast else ("good", "0")
        self._is_warm = False
        self._control, self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the process that is forked."""
        return self._process.pid

    def wait_until_warm(self) -> None:
        """Wait until its model is loaded; it is started again if it died.

        Raises:
            WorkerDiedError: it ends by itself, or takes longer than a minute.
        """
        if self._process.poll() is not None:
            self.close()
            self._is_warm = False
            self._control, self._process = self._start()
        if not self._is_warm:
            self._receive()
            self._is_warm = True

    def worker(self) -> Born:
        """A new worker, warm.

        Raises:
            WorkerDiedError: there can be none.
        """
        self.wait_until_warm()
        theirs_in, requests = os.pipe()
        replies, theirs_out = os.pipe()
        try:
            socket.send_fds(self._control, [b"\n"], [theirs_in, theirs_out])
            packed, descriptors = self._receive()
            (pid,) = _PID.unpack(packed)
            (descriptor,) = descriptors
        except (OSError, ValueError, struct.error) as error:
            os.close(requests)
            os.close(replies)
            raise WorkerDiedError(f"PocketSphinx worker cannot be made: {error}") from error
        except WorkerDiedError:
            os.close(requests)
            os.close(replies)
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return Born(pid, descriptor, requests, replies)

    def kill(self) -> None:
        """From any thread: who waits for it to load waits no more."""
        self._process.kill()

    def close(self) -> None:
        """End it, and with it the workers that are left."""
        self._process.kill()
        self._process.wait()
        self._control.close()

    def _start(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        control, theirs = socket.socketpair()
        control.settimeout(_START_TIMEOUT_S)
        quality, niceness = self._arguments
        with theirs:
            process = subprocess.Popen(
                # -I: no module of this folder may stand in for one that the worker imports.
                [sys.executable, "-I", str(_SCRIPT), quality, str(os.getpid()), niceness],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )
        return control, process

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            packed, descriptors, _, _ = socket.recv_fds(self._control, _PID.size, 1)
        except OSError as error:
            self._process.kill()  # one that hangs is started again
            raise WorkerDiedError(f"PocketSphinx is not there: {error}") from error
        if not packed:
            raise WorkerDiedError(f"PocketSphinx process {self.pid} died")
        return packed, list(descriptors)
