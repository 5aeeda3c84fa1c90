"""The threads around the schedule, with an engine that does as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError

import numpy as np
import pytest

from transcriber.engines.base import AudioRequest, EngineError, FloatAudio, Outcome, Transcript
from transcriber.scheduler import BatchReport, Listeners, Scheduler


class GatedEngine:
    """Holds every call until the gate opens; answers with the first sample."""

    name = "gated"
    concurrency = 1
    max_batch = 4
    realtime_share = 1.0

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []
        self.failure: Exception | None = None
        self.closed = False

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        self.batches.append([int(request.audio[0]) for request in requests])
        self.entered.set()
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        return [Transcript(str(int(request.audio[0]))) for request in requests]

    def close(self) -> None:
        self.closed = True
        self.gate.set()


def audio(number: int) -> FloatAudio:
    return np.full(160, number, dtype=np.float32)


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine()


@pytest.fixture
def reports() -> list[BatchReport]:
    return []


@pytest.fixture
def scheduler(engine: GatedEngine, reports: list[BatchReport]) -> Iterator[Scheduler]:
    scheduler = Scheduler(engine, realtime_deadline_s=0.2, listeners=Listeners(reports.append))
    yield scheduler
    engine.gate.set()
    scheduler.close()


def test_requests_of_several_sessions_share_a_batch(
    engine: GatedEngine, scheduler: Scheduler, reports: list[BatchReport]
) -> None:
    first = scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    others = [scheduler.final_executor(name).submit(audio(n)) for n, name in enumerate("bcd", 2)]
    engine.gate.set()
    assert first.result(5).text == "1"
    assert [other.result(5).text for other in others] == ["2", "3", "4"]
    assert engine.batches == [[1], [2, 3, 4]]
    assert [report.size for report in reports] == [1, 3]
    assert scheduler.counters.finals == 4


def test_an_engines_failure_is_the_requests(engine: GatedEngine, scheduler: Scheduler) -> None:
    engine.failure = RuntimeError("no memory")
    engine.gate.set()
    with pytest.raises(RuntimeError, match="no memory"):
        scheduler.final_executor("a").transcribe(audio(1))
    engine.failure = None
    assert scheduler.final_executor("a").transcribe(audio(2)).text == "2"
    assert scheduler.counters.failures == 1


def test_an_engine_that_answers_too_few_requests_fails_those_and_no_later_one(
    engine: GatedEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.gate.set()
    with monkeypatch.context() as patched:
        patched.setattr(engine, "transcribe", lambda requests: [])
        future = scheduler.final_executor("a").submit(audio(1))
        with pytest.raises(EngineError, match="0 texts for 1 recordings"):
            future.result(5)
    assert scheduler.final_executor("a").submit(audio(2)).result(5).text == "2"


def test_a_partial_past_its_deadline_comes_back_empty(
    engine: GatedEngine, scheduler: Scheduler
) -> None:
    scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    started = time.monotonic()
    # The engine's only thread is held, so that nobody would look at the deadline.
    opener = threading.Timer(0.3, engine.gate.set)
    opener.start()
    assert scheduler.realtime_executor("a").transcribe(audio(2)).text == ""
    assert time.monotonic() - started < 5
    assert scheduler.counters.partials_dropped == 1
    assert engine.batches == [[1]]


def test_forgetting_a_session_frees_whoever_waits_for_it(
    engine: GatedEngine, scheduler: Scheduler
) -> None:
    running = scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    waiting = scheduler.final_executor("a").submit(audio(2))
    other = scheduler.final_executor("b").submit(audio(3))
    scheduler.forget("a")
    for future in (running, waiting):
        with pytest.raises(CancelledError):
            future.result(5)
    engine.gate.set()
    assert other.result(5).text == "3"
    assert engine.batches == [[1], [3]]


def test_a_cancelled_final_does_not_run(engine: GatedEngine, scheduler: Scheduler) -> None:
    first = scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    scheduler.final_executor("a").submit(audio(2)).cancel()
    engine.gate.set()
    assert first.result(5).text == "1"
    assert scheduler.final_executor("a").transcribe(audio(3)).text == "3"
    assert engine.batches == [[1], [3]]


def test_an_early_transcription_is_the_final_once_promoted(
    engine: GatedEngine, scheduler: Scheduler
) -> None:
    first = scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    executor = scheduler.final_executor("b")
    replaced = executor.submit(audio(2), early=True)
    early = executor.submit(audio(3), early=True)
    assert replaced.cancelled()
    assert scheduler.waiting() == (0, 0)
    executor.promote(early)
    assert scheduler.waiting() == (1, 0)
    engine.gate.set()
    assert [first.result(5).text, early.result(5).text] == ["1", "3"]


def test_a_partial_that_nobody_needs_comes_back_empty(
    engine: GatedEngine, scheduler: Scheduler
) -> None:
    scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    executor = scheduler.realtime_executor("a")
    threading.Timer(0.1, executor.drop).start()
    assert executor.transcribe(audio(2)).text == ""
    assert engine.batches == [[1]]
    executor.drop()


def test_a_closed_executor_takes_nothing(engine: GatedEngine, scheduler: Scheduler) -> None:
    final, partial = scheduler.final_executor("a"), scheduler.realtime_executor("a")
    final.close()
    partial.close()
    with pytest.raises(CancelledError):
        final.submit(audio(1))
    assert partial.transcribe(audio(1)).text == ""
    assert engine.batches == []


def test_closing_cancels_what_waits(engine: GatedEngine) -> None:
    scheduler = Scheduler(engine)
    scheduler.final_executor("a").submit(audio(1))
    assert engine.entered.wait(5)
    waiting = scheduler.final_executor("a").submit(audio(2))
    scheduler.close()
    assert engine.closed
    with pytest.raises(CancelledError):
        waiting.result(5)


def test_partials_of_their_own_engine_wait_while_finals_do(engine: GatedEngine) -> None:
    fast = GatedEngine()
    fast.gate.set()
    scheduler = Scheduler(engine, fast, realtime_deadline_s=0.2)
    try:
        running = scheduler.final_executor("a").submit(audio(1))
        assert engine.entered.wait(5)
        assert scheduler.realtime_executor("a").transcribe(audio(2)).text == "2"
        waiting = scheduler.final_executor("b").submit(audio(3))
        assert scheduler.realtime_executor("a").transcribe(audio(4)).text == ""
        engine.gate.set()
        assert [running.result(5).text, waiting.result(5).text] == ["1", "3"]
    finally:
        scheduler.close()
