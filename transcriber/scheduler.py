"""Runs the schedule: threads that carry requests of all sessions to the shared engines."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import Final, NamedTuple

from transcriber.engines.base import AudioRequest, Engine, EngineError, Outcome
from transcriber.executors import (
    NOTHING,
    FinalExecutor,
    Lane,
    RealtimeExecutor,
    TranscriptFuture,
    resolve,
)
from transcriber.schedule import Batch, Dropped, Expired, Job, Kind, Limits, Schedule

log = logging.getLogger(__name__)


class BatchReport(NamedTuple):
    """One call of an engine, for metrics."""

    kind: Kind
    size: int
    queue_delays_s: list[float]
    inference_s: float
    audio_s: float
    failures: int


class Listeners(NamedTuple):
    """What is called with what happened, on the threads of engines; must not block."""

    on_batch: Callable[[BatchReport], None] = lambda _: None
    """After each call of an engine."""
    on_dropped: Callable[[Dropped], None] = lambda _: None
    """For each partial that did not run."""


SILENT: Final = Listeners()


@dataclasses.dataclass(slots=True)
class Counters:
    """Totals since the start."""

    finals: int = 0
    partials: int = 0
    partials_dropped: int = 0
    failures: int = 0
    batches: int = 0
    inference_s: float = 0.0
    queue_delay_s: float = 0.0


class _Payload(NamedTuple):
    request: AudioRequest
    future: TranscriptFuture


class _Lane:
    """One engine, its queue and its threads.

    Args:
        finals: the lane of another engine on the same hardware, whose waiting finals go first.
    """

    def __init__(
        self,
        engine: Engine,
        realtime_deadline_s: float,
        max_partial_cost_s: float,
        counters: Counters,
        listeners: Listeners,
        finals: _Lane | None = None,
    ) -> None:
        self.engine = engine
        self._other_finals = finals
        self._counters = counters
        self._listeners = listeners
        self._schedule: Schedule[_Payload] = Schedule(
            Limits(
                concurrency=engine.concurrency,
                max_batch=engine.max_batch,
                realtime_share=engine.realtime_share,
                realtime_deadline_s=realtime_deadline_s,
                max_partial_cost_s=max_partial_cost_s,
            )
        )
        self._changed = threading.Condition()
        self._closed = False
        self._running: set[Job[_Payload]] = set()
        self._threads = [
            threading.Thread(target=self._run, name=f"{engine.name}-{number}", daemon=True)
            for number in range(engine.concurrency)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, session: str, kind: Kind, request: AudioRequest) -> TranscriptFuture:
        future = TranscriptFuture()
        with self._changed:
            if self._closed:
                raise CancelledError("the engine is closed")
            payload = _Payload(request, future)
            job, superseded = self._schedule.submit(
                session, kind, payload, time.monotonic(), request.audio.size / 16_000
            )
            future.job = job
            self._changed.notify()
        if superseded is not None and kind is Kind.REALTIME:
            self._drop([Expired(superseded, Dropped.SUPERSEDED)])
        elif superseded is not None:
            superseded.payload.future.cancel()
        future.add_done_callback(lambda done: self._withdraw(job) if done.cancelled() else None)
        return future

    def promote(self, future: TranscriptFuture) -> None:
        with self._changed:
            self._schedule.promote(future.job)
            self._changed.notify()

    def forget(self, session: str) -> None:
        """Cancel all requests of a session, those that run included."""
        with self._changed:
            jobs = self._schedule.forget(session)
            jobs += [job for job in self._running if job.session == session]
        for job in jobs:
            job.payload.future.cancel()

    def waiting(self) -> tuple[int, int]:
        with self._changed:
            return self._schedule.waiting_finals, self._schedule.waiting_partials

    def wait_s(self) -> float:
        with self._changed:
            return self._schedule.wait_s(time.monotonic())

    def close(self) -> None:
        with self._changed:
            self._closed = True
            waiting = self._schedule.clear()
            self._changed.notify_all()
        for job in waiting:
            job.payload.future.cancel()
        self.engine.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _withdraw(self, job: Job[_Payload]) -> None:
        with self._changed:
            self._schedule.cancel(job)

    def _drop(self, partials: Iterable[Expired[_Payload]]) -> None:
        for job, why in partials:
            with self._changed:
                self._counters.partials_dropped += 1
            self._listeners.on_dropped(why)
            resolve(job.payload.future, NOTHING)

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            requests = [job.payload.request for job in batch.jobs]
            try:
                outcomes = self.engine.transcribe(requests)
                if len(outcomes) != len(requests):
                    raise EngineError(f"{len(outcomes)} texts for {len(requests)} recordings")
            except Exception as error:  # whatever an engine raises is the request's outcome
                outcomes = [error] * len(requests)
            now = time.monotonic()
            with self._changed:
                self._schedule.finish(batch, now)
                self._running.difference_update(batch.jobs)
                self._changed.notify_all()
            self._count(batch, outcomes, now)
            for job, outcome in zip(batch.jobs, outcomes, strict=True):
                resolve(job.payload.future, outcome)

    def _next_batch(self) -> Batch[_Payload] | None:
        while True:
            partials = self._other_finals is None or not self._other_finals.waiting()[0]
            with self._changed:
                now = time.monotonic()
                expired = self._schedule.expire(now)
                batch = None if self._closed else self._schedule.take(now, partials)
                if batch is not None:
                    self._running.update(batch.jobs)
                elif self._closed:
                    return None
                elif not expired:
                    until = self._schedule.next_change_s(now)
                    self._changed.wait(None if until is None else max(0.0, until - now))
            self._drop(expired)
            if batch is not None:
                return batch

    def _count(self, batch: Batch[_Payload], outcomes: list[Outcome], now: float) -> None:
        delays = [batch.started_s - job.submitted_s for job in batch.jobs]
        report = BatchReport(
            kind=batch.kind,
            size=len(batch.jobs),
            queue_delays_s=delays,
            inference_s=now - batch.started_s,
            audio_s=sum(job.payload.request.audio.size for job in batch.jobs) / 16_000,
            failures=sum(isinstance(outcome, Exception) for outcome in outcomes),
        )
        with self._changed:
            counters = self._counters
            if batch.kind is Kind.REALTIME:
                counters.partials += report.size
            else:
                counters.finals += report.size
            counters.failures += report.failures
            counters.batches += 1
            counters.inference_s += report.inference_s
            counters.queue_delay_s += sum(delays)
        self._listeners.on_batch(report)


class Scheduler:
    """Shares the engines among all sessions. Thread-safe.

    Args:
        engine: for finals, and for partials where ``realtime_engine`` is None.
        realtime_engine: a faster one for partials, with a queue of its own.
        realtime_deadline_s: after which a partial that waits is dropped.
        max_partial_cost_s: of an engine's time, that one partial may be expected to take; less
            beside finals.
    """

    def __init__(
        self,
        engine: Engine,
        realtime_engine: Engine | None = None,
        *,
        realtime_deadline_s: float = 1.0,
        max_partial_cost_s: float = math.inf,
        listeners: Listeners = SILENT,
    ) -> None:
        self.counters = Counters()
        rest = (realtime_deadline_s, max_partial_cost_s, self.counters, listeners)
        finals = _Lane(engine, *rest)
        self._finals: Lane = finals
        self._partials: Lane = finals
        if realtime_engine is not None and realtime_engine is not engine:
            self._partials = _Lane(realtime_engine, *rest, finals)

    @classmethod
    def over(cls, lane: Lane) -> Scheduler:
        """A scheduler whose requests all take a lane that was made elsewhere."""
        scheduler = cls.__new__(cls)
        scheduler.counters = Counters()
        scheduler._finals = scheduler._partials = lane
        return scheduler

    def submit(self, session: str, kind: Kind, request: AudioRequest) -> TranscriptFuture:
        """Queue a request, as the executors of sessions do.

        Raises:
            QueueFullError: the session has too many finals waiting.
            CancelledError: the scheduler is closed.
        """
        lane = self._partials if kind is Kind.REALTIME else self._finals
        return lane.submit(session, kind, request)

    def promote(self, future: TranscriptFuture) -> None:
        """An early request is its recording's final."""
        self._finals.promote(future)

    def wait_s(self) -> float:
        """For how long a final that comes now would wait."""
        return self._finals.wait_s()

    def final_executor(self, session: str) -> FinalExecutor:
        """For ``AudioToTextRecorder(transcription_executor=...)``."""
        return FinalExecutor(self._finals, session)

    def realtime_executor(self, session: str, use_main: bool = False) -> RealtimeExecutor:
        """For ``AudioToTextRecorder(realtime_transcription_executor=...)``.

        Args:
            use_main: partials come from the engine for finals.
        """
        return RealtimeExecutor(self._finals if use_main else self._partials, session)

    def waiting(self) -> tuple[int, int]:
        """Finals and partials in the queues."""
        finals, partials = self._finals.waiting()
        if self._partials is not self._finals:
            partials += self._partials.waiting()[1]
        return finals, partials

    def forget(self, session: str) -> None:
        """Cancel what a session still waits for."""
        for lane in self._lanes():
            lane.forget(session)

    def close(self) -> None:
        """Close the engines and end the threads; waiting requests are cancelled."""
        for lane in self._lanes():
            lane.close()

    def _lanes(self) -> list[Lane]:
        return list(dict.fromkeys((self._finals, self._partials)))
