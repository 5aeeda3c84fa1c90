"""How real recorders end, go on after errors, and what they leave behind."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from common.recognition_settings import RecorderSettings
from tests.integration.recorder_tools import Client, HashEngine, stream
from tests.speech import load, silence
from transcriber.recorder.feed import ChunkFeed
from transcriber.recorder.outputs import (
    FinalStart,
)
from transcriber.recorder.recorder import Recorder
from transcriber.scheduler import Scheduler

BRIDGE = "bridge"
CITY = "city"
NUMBERS = "numbers"


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_a_closed_session_leaves_nothing_behind(
    scheduler: Scheduler, capfd: pytest.CaptureFixture[str]
) -> None:
    stream(scheduler, silence(1))
    handlers = list(logging.getLogger("realtimestt").handlers)
    threads = set(threading.enumerate())
    descriptors = open_files()
    clients = [Client(scheduler, name=str(number)) for number in range(8)]
    for client in clients:
        client.feed(silence(1) + load(NUMBERS))
    started = time.monotonic()
    for client in clients:
        client.session.close()
        client.session.close()
    assert time.monotonic() - started < 5
    assert set(threading.enumerate()) <= threads
    assert open_files() <= descriptors
    assert logging.getLogger("realtimestt").handlers == handlers
    output = capfd.readouterr()
    assert output.out == ""


def test_a_session_closes_at_once_while_the_engine_is_busy(
    engine: HashEngine, scheduler: Scheduler
) -> None:
    client = Client(scheduler)
    engine.gate.clear()
    client.feed(silence(1) + load(BRIDGE) + silence(1.5))
    client.wait_for(FinalStart)
    started = time.monotonic()
    client.session.close()
    assert time.monotonic() - started < 2
    assert client.sentences == []


def test_an_idle_session_costs_no_cpu(scheduler: Scheduler) -> None:
    sessions = [Client(scheduler, name=str(number)) for number in range(4)]
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(1.0)
    used = time.process_time() - before
    for client in sessions:
        client.session.close()
    assert used < 0.05


def test_a_recorder_goes_on_after_an_error_in_realtimestt(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.feed(silence(1))
    deadline = time.monotonic() + 30
    while client.session.position < 15_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    client.session._recorder.webrtc_vad_model = None  # what is fed next fails
    client.feed(silence(1) + load(CITY))
    client.finish()
    assert len(client.sentences) == 1
    assert client.texts[0] != ""


def test_options_that_realtimestt_refuses_are_an_error(scheduler: Scheduler) -> None:
    options = RecorderSettings(wakeword_backend="nonsense", wake_words="alexa")
    with pytest.raises(ValueError, match="nonsense"):
        Recorder(options, scheduler, "session", lambda event: None)


def test_a_recorders_thread_reads_its_feed_from_its_first_moment_on(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the installed RealtimeSTT is as the table of replaced names says."""
    from RealtimeSTT.core import initialization

    queues: list[object] = []
    work = initialization.run_recording_worker

    def look_and_work(recorder: Any) -> None:
        queues.append(recorder.audio_queue)
        work(recorder)

    monkeypatch.setattr(initialization, "run_recording_worker", look_and_work)
    stream(scheduler, silence(0.1))
    assert [type(queue) for queue in queues] == [ChunkFeed]
