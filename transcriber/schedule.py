"""Which requests go to an engine next. Decides only: no threads, no clock of its own.

Finals run before early transcriptions (which speech may yet overtake), these before partials.
Sessions take turns. A session has at most one partial waiting (the latest), partials that waited
past their deadline are dropped, and they leave the engine alone for a while after each turn, so
that they take no more than their share of it; that is the smaller, the more finals there are
(:mod:`transcriber.load`), so that there are fewer partials before finals wait. Of that share each
session has its own, by what its partials cost (:mod:`transcriber.partial_pace`).
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from common.errors import SttError
from transcriber.load import Load
from transcriber.partial_pace import PartialPace

P = TypeVar("P")


class Kind(enum.IntEnum):
    """What a request is for."""

    FINAL = 0
    EARLY = 1
    """A final begun before its recording has ended."""
    REALTIME = 2


class Dropped(enum.StrEnum):
    """Why a partial did not run."""

    SUPERSEDED = "superseded"
    """The session asked for a newer one."""
    LATE = "late"
    """The engine was busy until its deadline."""
    SHARE = "share"
    """The session has had what is its own of the engine's time."""
    COST = "cost"
    """It was expected to take longer than a partial may."""


class QueueFullError(SttError):
    """A session has too many finals waiting: it outran its back-pressure."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a schedule; the first three are the engine's."""

    concurrency: int = 1
    max_batch: int = 1
    realtime_share: float = 1.0
    realtime_deadline_s: float = 1.0
    max_partial_cost_s: float = math.inf
    finals_per_session: int = 8
    long_s: float = 10.0
    """Audio of a long recording: of several workers, one is always left to the others."""


@dataclasses.dataclass(eq=False, slots=True)
class Job(Generic[P]):
    """A request in the queue. ``payload`` is the caller's."""

    session: str
    kind: Kind
    payload: P
    submitted_s: float
    audio_s: float = 0.0


class Submission(NamedTuple, Generic[P]):
    """A new job and the one that it replaces, if any."""

    job: Job[P]
    superseded: Job[P] | None


class Expired(NamedTuple, Generic[P]):
    """A partial whose time is over."""

    job: Job[P]
    why: Dropped


@dataclasses.dataclass(eq=False, slots=True)
class Batch(Generic[P]):
    """Jobs of one kind that run together."""

    kind: Kind
    jobs: list[Job[P]]
    started_s: float
    is_long: bool = False


class Schedule(Generic[P]):
    """The queue before one engine."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Sessions in order of their turn; one that was served goes to the end.
        self._finals: OrderedDict[str, deque[Job[P]]] = OrderedDict()
        self._early: OrderedDict[str, Job[P]] = OrderedDict()
        self._partials: OrderedDict[str, Job[P]] = OrderedDict()
        self._running = dict.fromkeys(Kind, 0)
        self._long_running = 0
        self._started: dict[int, Batch[P]] = {}
        self._load = Load(limits.concurrency)
        self._pace = PartialPace(limits.max_partial_cost_s)
        self._factor = 0.0  # seconds of a call per second of its audio, the latest ones
        self._partials_from_s = float("-inf")
        # Where there is one worker all may use it; of more, one is always left to finals.
        self._slots = max(1, limits.concurrency - 1)

    @property
    def waiting_finals(self) -> int:
        """Finals in the queue, without early ones."""
        return sum(map(len, self._finals.values()))

    @property
    def waiting_partials(self) -> int:
        """Partials in the queue."""
        return len(self._partials)

    def submit(
        self, session: str, kind: Kind, payload: P, now: float, audio_s: float = 0.0
    ) -> Submission[P]:
        """Queue a request for ``audio_s`` seconds of audio.

        Raises:
            QueueFullError: the session has too many finals waiting.
        """
        job = Job(session, kind, payload, now, audio_s)
        if kind is Kind.FINAL:
            waiting = self._finals.setdefault(session, deque())
            if len(waiting) >= self._limits.finals_per_session:
                raise QueueFullError(
                    f"{len(waiting)} recordings of one session wait for their transcription"
                )
            waiting.append(job)
            return Submission(job, None)
        # Replaced in its place: a session that asks often keeps its turn, and no more.
        waiting_one = self._one_each(kind)
        if kind is Kind.REALTIME:
            self._pace.asked(session, now)
        superseded = waiting_one.get(session)
        waiting_one[session] = job
        return Submission(job, superseded)

    def promote(self, job: Job[P]) -> None:
        """An early transcription is the recording's: it is a final from now on."""
        if job.kind is Kind.EARLY and self.cancel(job):
            job.kind = Kind.FINAL
            self._finals.setdefault(job.session, deque()).append(job)

    def cancel(self, job: Job[P]) -> bool:
        """Take a job out of the queue; false when it runs or ran."""
        if job.kind is not Kind.FINAL:
            waiting_one = self._one_each(job.kind)
            found = waiting_one.get(job.session) is job
            if found:
                del waiting_one[job.session]
            return found
        waiting = self._finals.get(job.session)
        if waiting is None or job not in waiting:
            return False
        waiting.remove(job)
        if not waiting:
            del self._finals[job.session]
        return True

    def forget(self, session: str) -> list[Job[P]]:
        """Take all jobs of a session out of the queue."""
        self._pace.forget(session)
        finals = list(self._finals.pop(session, ()))
        one_each = (self._early, self._partials)
        return finals + [jobs.pop(session) for jobs in one_each if session in jobs]

    def expire(self, now: float) -> list[Expired[P]]:
        """Take partials that waited past their deadline out of the queue."""
        oldest = now - self._limits.realtime_deadline_s
        expired = [
            Expired(job, self._held(job, now))
            for job in self._partials.values()
            if job.submitted_s <= oldest
        ]
        for job, _ in expired:
            del self._partials[job.session]
        return expired

    def take(self, now: float, partials: bool = True) -> Batch[P] | None:
        """The jobs to run now, or None. Each batch is given back to :meth:`finish`.

        Args:
            partials: whether they may run at all.
        """
        if sum(self._running.values()) >= self._limits.concurrency:
            return None
        if jobs := self._take_finals():
            kind = Kind.FINAL
            jobs += self._take_from(self._early, self._limits.max_batch - len(jobs))
        elif self._running[Kind.EARLY] < self._slots and (
            jobs := self._take_from(self._early, self._limits.max_batch)
        ):
            kind = Kind.EARLY
        elif (
            partials
            and self._partials
            and now >= self._partials_from_s
            and self._running[Kind.REALTIME] < self._slots
            and (jobs := self._take_partials(now))
        ):
            kind = Kind.REALTIME
        else:
            return None
        is_long = any(map(self._is_long, jobs))
        self._running[kind] += 1
        self._long_running += is_long
        batch = Batch(kind, jobs, now, is_long)
        self._started[id(batch)] = batch
        return batch

    def finish(self, batch: Batch[P], now: float) -> None:
        """A batch has run, well or not."""
        self._running[batch.kind] -= 1
        self._long_running -= batch.is_long
        self._started.pop(id(batch), None)
        audio_s = sum(job.audio_s for job in batch.jobs)
        took_s = now - batch.started_s
        if batch.kind is Kind.REALTIME:
            self._load.partials_ran(took_s, len(batch.jobs))
            self._pace.ran([(job.session, job.audio_s) for job in batch.jobs], took_s, now)
            share = self._load.partials_share(self._limits.realtime_share, now)
            self._partials_from_s = max(self._partials_from_s, now + took_s * (1 / share - 1))
            return
        self._load.finals_ran(took_s, now)
        if audio_s:
            factor = took_s / audio_s
            self._factor += 0.2 * (factor - self._factor) if self._factor else factor

    def wait_s(self, now: float) -> float:
        """For how long another session's first final would wait, if calls go as the last ones did.

        Sessions take turns: of each that has finals here, one goes before it.
        """
        if sum(self._running.values()) < self._limits.concurrency and not self._finals:
            return 0.0
        ahead_s = sum(waiting[0].audio_s for waiting in self._finals.values())
        work_s = ahead_s * self._factor
        for batch in self._started.values():
            expected_s = self._factor * sum(job.audio_s for job in batch.jobs)
            work_s += max(0.0, expected_s - (now - batch.started_s))
        predicted_s = work_s / self._limits.concurrency
        # A call that hangs: its queue gets older, whatever was expected.
        oldest = min((w[0].submitted_s for w in self._finals.values()), default=now)
        return max(predicted_s, now - oldest)

    def next_change_s(self, now: float) -> float | None:
        """When :meth:`expire` or :meth:`take` may do more without anything else happening."""
        if not self._partials:
            return None
        deadline = min(job.submitted_s for job in self._partials.values())
        deadline += self._limits.realtime_deadline_s
        may_run = max(self._partials_from_s, min(self._due(now), default=math.inf))
        return may_run if now < may_run < deadline else deadline

    def clear(self) -> list[Job[P]]:
        """Take all jobs out of the queue."""
        jobs = [job for waiting in self._finals.values() for job in waiting]
        jobs += [*self._early.values(), *self._partials.values()]
        for queue in (self._finals, self._early, self._partials):
            queue.clear()
        return jobs

    def _one_each(self, kind: Kind) -> OrderedDict[str, Job[P]]:
        return self._early if kind is Kind.EARLY else self._partials

    def _is_long(self, job: Job[P]) -> bool:
        return job.audio_s >= self._limits.long_s

    def _may_run(self, job: Job[P]) -> bool:
        return self._long_running < self._slots or not self._is_long(job)

    def _part(self, now: float) -> float:
        """Of one worker's time, or of several ones', what partials may take."""
        return self._slots * self._load.partials_share(self._limits.realtime_share, now)

    def _is_dear(self, job: Job[P], now: float) -> bool:
        return self._pace.is_dear(job.audio_s, self._load.partials_share(1.0, now), now)

    def _due(self, now: float) -> Iterator[float]:
        """When the partials that wait may run, those that cost too much left out."""
        part = self._part(now)
        return (
            self._pace.due_s(job.session, job.audio_s, part, now)
            for job in self._partials.values()
            if not self._is_dear(job, now)
        )

    def _held(self, job: Job[P], now: float) -> Dropped:
        """Why a partial still waits."""
        if self._is_dear(job, now):
            return Dropped.COST
        is_due = self._pace.due_s(job.session, job.audio_s, self._part(now), now) <= now
        return Dropped.LATE if is_due else Dropped.SHARE

    def _take_partials(self, now: float) -> list[Job[P]]:
        part = self._part(now)
        runnable = (
            (job, self._pace.due_s(job.session, job.audio_s, part, now))
            for job in self._partials.values()
            if self._may_run(job) and not self._is_dear(job, now)
        )
        due = ((job, due_s) for job, due_s in runnable if due_s <= now)
        most = self._load.partials_per_call(self._limits.max_batch)
        jobs = []
        for job, due_s in list(itertools.islice(due, most)):
            self._pace.started(job.session, due_s, now)
            del self._partials[job.session]
            jobs.append(job)
        return jobs

    def _take_from(self, waiting_one: OrderedDict[str, Job[P]], limit: int) -> list[Job[P]]:
        runnable = (session for session, job in waiting_one.items() if self._may_run(job))
        sessions = list(itertools.islice(runnable, limit))
        return [waiting_one.pop(session) for session in sessions]

    def _take_finals(self) -> list[Job[P]]:
        jobs: list[Job[P]] = []
        while len(jobs) < self._limits.max_batch:
            heads = ((session, waiting[0]) for session, waiting in self._finals.items())
            session = next((session for session, job in heads if self._may_run(job)), None)
            if session is None:
                break
            # One per session and round, so that a batch is shared as a single slot would be.
            waiting = self._finals.pop(session)
            jobs.append(waiting.popleft())
            if waiting:
                self._finals[session] = waiting
        return jobs
