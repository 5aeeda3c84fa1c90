"""RealtimeSTT's ``stt`` command, as the installed package ships it, against the real stages."""

from __future__ import annotations

import contextlib
import importlib.metadata
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
from tests.speech import load, silence
from tests.stock.listening import is_heard
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

    def wait_listening(self, times: int = 1) -> None:
        """Wait until it listens for the n-th time."""

        def listening() -> bool:
            assert self._process.poll() is None, self.stdout + self.stderr
            return self.stderr.count(LISTENING) >= times

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


def test_the_module_is_the_installed_command() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="stt")
    assert command.value == f"{MODULE}:main"


def test_it_sets_gets_calls_and_prints_one_sentence(system: System, tmp_path: Path) -> None:
    options = (
        *("--set", "silero_sensitivity", "0.25"),
        *("--set", "post_speech_silence_duration", "1"),
        *("--set", "use_wake_words", "0"),
        *("--set", "language", "en"),
        *("--get", "silero_sensitivity"),
        *("--get", "post_speech_silence_duration"),
        *("--get", "use_wake_words"),
        *("--get", "language"),
        *("--get", "is_recording"),
        *("--method", "clear_audio_queue"),
        *("--method", "wakeup"),
    )
    with running(SttCommand(system, tmp_path / "mic", *options)) as command:
        command.wait_listening()
        command.microphone.hear(silence(0.3) + load("garden"))
        assert command.wait() == 0
        *answers, text = texts(command.stdout)
        assert answers == [
            "Parameter silero_sensitivity = 0.25",
            "Parameter post_speech_silence_duration = 1.0",
            "Parameter use_wake_words = False",
            "Parameter language = en",
            "Parameter is_recording = False",
        ]
        assert is_heard("garden", text), text
        check_no_complaint(command)


def test_continuous_goes_on_until_it_is_interrupted(system: System, tmp_path: Path) -> None:
    spoken = ["dog", "mountains"]
    with running(SttCommand(system, tmp_path / "mic", "--continuous")) as command:
        for number, name in enumerate(spoken, 1):
            command.wait_listening(number)
            command.microphone.hear(silence(0.3) + load(name))
        command.wait_listening(3)
        command.interrupt()
        assert command.wait() == 0
        for name, text in zip(spoken, texts(command.stdout), strict=False):
            assert is_heard(name, text), text
        check_no_complaint(command)


def test_on_a_terminal_it_shows_the_sentence(system: System, tmp_path: Path) -> None:
    screen, terminal = os.openpty()
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(screen, 65536):
                shown.extend(data)

    threading.Thread(target=read, daemon=True).start()
    with running(SttCommand(system, tmp_path / "mic", stdout=terminal)) as command:
        os.close(terminal)
        wait_until(lambda: LISTENING.encode() in shown, "the command listens", poll_s=0.05)
        command.microphone.hear(silence(0.3) + load("ship"))
        assert command.wait() == 0
        last_line = shown.decode().rpartition("\x1b[K")[2]
        assert is_heard("ship", last_line), shown.decode()
        check_no_complaint(command)


def test_what_is_refused_is_said_and_the_command_goes_on(system: System, tmp_path: Path) -> None:
    options = (
        *("--set", "silero_sensitivity", "7"),
        *("--set", "audio_queue", "1"),
        *("--method", "feed_audio"),
        *("--get", "silero_sensitivity"),
    )
    with running(SttCommand(system, tmp_path / "mic", *options)) as command:
        command.wait_listening()
        wait_until(lambda: command.stdout.count("Server Error: ") == 3, "it said so", poll_s=0.05)
        assert "Parameter silero_sensitivity must be a number from 0 to 1, not 7" in command.stdout
        assert "Parameter audio_queue is not allowed (set_parameter)" in command.stdout
        assert "Method feed_audio is not allowed" in command.stdout
        assert "Parameter silero_sensitivity = 0.05" in command.stdout
