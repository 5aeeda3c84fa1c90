"""RealtimeSTT's ``stt`` command in a process of its own, with a fake microphone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.system import System
from tests.processes import wait_until
from tests.stock.stock_client import END_TIMEOUT_S, Microphone

MODULE: Final = "RealtimeSTT_server.stt_cli_client"
LISTENING: Final = "🔴"
"""What the command shows when it waits for speech."""


class SttCommand:
    """The command in a process without a terminal, unless ``stdout`` is one."""

    def __init__(self, system: System, folder: Path, *options: str, stdout: int = -1) -> None:
        self.microphone = Microphone(folder)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", MODULE),
                *("--control", f"ws://127.0.0.1:{system.control_port}"),
                *("--data", f"ws://127.0.0.1:{system.data_port}"),
                *options,
            ],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONIOENCODING": "utf-8",
                **self.microphone.environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout < 0 else stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._said = {"stdout": b"", "stderr": b""}
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe.fileno()), daemon=True)
            for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, fd: int) -> None:
        while data := os.read(fd, 65536):
            self._said[name] += data

    @property
    def stdout(self) -> str:
        """What it wrote to standard output so far."""
        return self._said["stdout"].decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        return self._said["stderr"].decode("utf-8", "replace")

    def wait_listening(self) -> None:
        """Wait until it listens for the first time (partial results show the sign again)."""

        def listening() -> bool:
            assert self._process.poll() is None, self.stdout + self.stderr
            return LISTENING in self.stderr

        wait_until(listening, "the command listens", poll_s=0.05)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Its exit status, once all that it wrote is read."""
        status = self._process.wait(END_TIMEOUT_S)
        for reader in self._readers:
            reader.join(5)
        return status

    def close(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running(command: SttCommand) -> Iterator[SttCommand]:
    """End the command at the end of the block."""
    try:
        yield command
    except BaseException as error:
        error.add_note(f"stdout:\n{command.stdout}\nstderr:\n{command.stderr}")
        raise
    finally:
        command.close()


def texts(stdout: str) -> list[str]:
    """Lines that are not the client's greeting."""
    greeting = ("Language set to ", "Wake word activation delay set to ")
    return [line for line in stdout.splitlines() if line and not line.startswith(greeting)]


def check_no_complaint(command: SttCommand) -> None:
    """Nothing that the stock client prints when it is not content."""
    everything = command.stdout + command.stderr
    for complaint in ("Unknown", "Error", "error", "Timeout", "Traceback", "Failed", "failed"):
        assert complaint not in everything
