"""Which engine process gets a request, and what becomes of the requests of one that is lost.

Decides only: messages and the time in, results out. A final is asked again when its engine
falls silent or lets it wait too long, and its first answer counts, whoever of those asked gives it:
where all are slow, work that was done is not thrown away. A partial is dropped, for a newer one
follows. Engines share the work by the wait that they measure and by what they were given.
"""

from __future__ import annotations

import dataclasses
from typing import Final, NamedTuple

from transcriber.engines.patience import Patience
from transcriber.schedule import Kind

PENALTY_S: Final = 10.0
"""An engine that let a final wait too long is given nothing for this long."""
LOOK_S: Final = 1.0
"""Between two looks for silent engines, at most, where a process has the time."""
MAX_ATTEMPTS: Final = 5
"""Engines that may be lost over one final before it fails: it might be what kills them."""


class Hello(NamedTuple):
    """What an engine process says of itself."""

    instance: str
    wait_s: float
    """For how long a final that comes now would wait."""
    concurrency: int


class Asked(NamedTuple):
    """A request to send."""

    request: int
    instance: str


class Answered(NamedTuple):
    """What an answer is worth."""

    counts: bool
    """It is the first one, from who was asked."""
    spared: str = ""
    """An engine that need not answer any more, "" for none."""


class Lost(NamedTuple):
    """What a look at the clock brought."""

    again: list[int]
    """Finals to be asked again."""
    dropped: list[int]
    """Partials that nobody answers any more."""
    failed: list[int]
    """Finals that were asked too often."""
    gone: list[str]
    """Engines that fell silent."""
    hung: list[str]
    """Engines that let a final wait too long."""


@dataclasses.dataclass(slots=True)
class _Request:
    kind: Kind
    audio_s: float
    submitted_s: float
    instance: str = ""
    asked_s: float = 0.0
    expected_wait_s: float = 0.0
    deadline_s: float = 0.0
    attempts: int = 0
    asked: set[str] = dataclasses.field(default_factory=set)
    """Engines that have had it."""


@dataclasses.dataclass(slots=True)
class _Engine:
    hello: Hello
    heard_s: float
    avoided_until_s: float = 0.0
    given_s: float = 0.0
    """Seconds of audio of the requests that it has."""
    patience: Patience = dataclasses.field(default_factory=Patience)

    def wait_s(self) -> float:
        """How long a request would wait: what it says, or what it was given since."""
        given_s = self.patience.expected_s(self.given_s) / max(1, self.hello.concurrency)
        return max(self.hello.wait_s, given_s)


class EnginePool:
    """The engines that one transcriber knows, and its requests."""

    def __init__(self, silent_s: float = 3.0) -> None:
        self._silent_s = silent_s
        self._engines: dict[str, _Engine] = {}
        self._requests: dict[int, _Request] = {}
        self._looked_s: float | None = None

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def instances(self) -> list[str]:
        """Engines that are alive."""
        return list(self._engines)

    def wait_s(self, now: float) -> float:
        """For how long a final that comes now would wait: what the engines measure.

        While no engine takes anything, for as long as the oldest final has waited for one.
        """
        said_s = min((engine.hello.wait_s for engine in self._engines.values()), default=0.0)
        finals = (r for r in self._requests.values() if r.kind is Kind.FINAL and not r.instance)
        return max((now - request.submitted_s for request in finals), default=said_s)

    def waiting(self) -> tuple[int, int]:
        """Finals and partials that are not answered yet."""
        partials = sum(r.kind is Kind.REALTIME for r in self._requests.values())
        return len(self._requests) - partials, partials

    def hear(self, hello: Hello, now: float) -> bool:
        """An engine lives; whether it is a new one."""
        engine = self._engines.get(hello.instance)
        if engine is None:
            self._engines[hello.instance] = _Engine(hello, now)
            return True
        engine.hello, engine.heard_s = hello, now
        return False

    def submit(self, request: int, kind: Kind, audio_s: float, now: float) -> None:
        """Take in a request; :meth:`place` says where it goes."""
        self._requests[request] = _Request(kind, audio_s, now)

    def place(self, now: float) -> list[Asked]:
        """Requests without an engine, each with the one it is sent to; oldest first."""
        return [
            Asked(number, instance)
            for number, request in self._requests.items()
            if not request.instance and (instance := self._give(request, now))
        ]

    def promote(self, request: int) -> str:
        """An early request is a final now; the engine to tell, "" for none."""
        known = self._requests.get(request)
        if known is None or known.kind is not Kind.EARLY:
            return ""
        known.kind = Kind.FINAL
        return known.instance

    def withdraw(self, request: int) -> str:
        """A request is not wanted any more; the engine to tell, "" for none."""
        known = self._requests.pop(request, None)
        if known is None:
            return ""
        self._take_back(known)
        return known.instance

    def answered(self, request: int, instance: str, now: float) -> Answered:
        """An engine answers a request."""
        known = self._requests.get(request)
        if known is None or instance not in known.asked:
            return Answered(False)
        del self._requests[request]
        self._take_back(known)
        engine = self._engines.get(instance)
        if known.instance != instance:
            return Answered(True, known.instance)
        if engine is not None:
            engine.avoided_until_s = 0.0
            if known.kind is not Kind.REALTIME:  # which wait for their turn, however fast it is
                took_s = now - known.asked_s - known.expected_wait_s
                engine.patience.ran(known.audio_s, max(0.0, took_s))
        return Answered(True)

    def lose(self, instance: str) -> Lost:
        """An engine is gone."""
        self._engines.pop(instance, None)
        again, dropped, failed = self._give_up(instance)
        return Lost(again, dropped, failed, [instance], [])

    def expire(self, now: float) -> Lost:
        """Look for engines that are silent or hang; to be called several times a second.

        What was not done in time here, on a machine that is too busy, is not taken for silence.
        """
        lost = Lost([], [], [], [], [])
        overslept_s = 0.0 if self._looked_s is None else now - self._looked_s - LOOK_S
        self._looked_s = now
        if overslept_s > 0:
            for engine in self._engines.values():
                engine.heard_s = min(now, engine.heard_s + overslept_s)
        for instance, engine in list(self._engines.items()):
            if now - engine.heard_s > self._silent_s:
                del self._engines[instance]
                lost.gone.append(instance)
            elif any(
                r.instance == instance and r.kind is not Kind.REALTIME and now > r.deadline_s
                for r in self._requests.values()
            ):
                engine.avoided_until_s = now + PENALTY_S
                lost.hung.append(instance)
            else:
                continue
            again, dropped, failed = self._give_up(instance)
            lost.again.extend(again)
            lost.dropped.extend(dropped)
            lost.failed.extend(failed)
        return lost

    def _give_up(self, instance: str) -> tuple[list[int], list[int], list[int]]:
        again, dropped, failed = [], [], []
        for number, request in list(self._requests.items()):
            if request.instance != instance:
                continue
            self._take_back(request)
            request.instance = ""
            if request.kind is Kind.REALTIME:
                del self._requests[number]
                dropped.append(number)
            elif request.attempts >= MAX_ATTEMPTS:
                del self._requests[number]
                failed.append(number)
            else:
                again.append(number)
        return again, dropped, failed

    def _give(self, request: _Request, now: float) -> str:
        """The engine that a request goes to; "" while there is none."""
        usable = [
            (engine.wait_s(), instance)
            for instance, engine in self._engines.items()
            if now >= engine.avoided_until_s
        ]
        if not usable:
            return ""
        wait_s, instance = min(usable)
        engine = self._engines[instance]
        patience_s = engine.patience.deadline_s(request.audio_s, request.attempts)
        request.instance, request.asked_s, request.expected_wait_s = instance, now, wait_s
        request.asked.add(instance)
        request.deadline_s = now + patience_s + 2 * wait_s
        request.attempts += 1
        engine.given_s += request.audio_s
        return instance

    def _take_back(self, request: _Request) -> None:
        engine = self._engines.get(request.instance)
        if engine is not None:
            engine.given_s = max(0.0, engine.given_s - request.audio_s)
