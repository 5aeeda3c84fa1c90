"""RealtimeSTT's ``stt`` command, as the installed package ships it, against the real stages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.system import System
from tests.processes import wait_until
from tests.speech import load, silence
from tests.stock.listening import is_heard
from tests.stock.stt_command import (
    LISTENING,
    MODULE,
    SttCommand,
    check_no_complaint,
    running,
    texts,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stock")]


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

        def has_printed(sentences: int) -> Callable[[], bool]:
            return lambda: len(texts(command.stdout)) >= sentences

        command.wait_listening()
        for number, name in enumerate(spoken, 1):
            command.microphone.hear(silence(0.6) + load(name))
            wait_until(has_printed(number), f"{name} is printed", poll_s=0.05)
        command.interrupt()
        assert command.wait() == 0
        for name, text in zip(spoken, texts(command.stdout), strict=True):
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
