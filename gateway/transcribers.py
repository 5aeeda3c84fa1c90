"""The transcribers that are alive, and which one a session goes to. Holds no socket, no clock."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.envelope import TranscriberHello
from gateway.retransmission import RetransmissionTimer

SESSION_CORES: Final = 0.02
"""That a session is taken to need until its transcriber says how it does."""
FULL_WAIT_S: Final = 1.0
"""An engine that lets a final wait for so long has no time left."""


class Transcriber:
    """One live instance as the gateway sees it.

    Attributes:
        fed_timer: how long it takes to say that it has a frame: a busy one says so late.
        newcomers: sessions that it was given since it last said how it does.
    """

    __slots__ = ("assigned", "fed_timer", "hello", "last_heard_s", "newcomers")

    def __init__(
        self, hello: TranscriberHello, now_s: float, fed_timer: RetransmissionTimer
    ) -> None:
        self.hello = hello
        self.fed_timer = fed_timer
        self.last_heard_s = now_s
        self.assigned: set[bytes] = set()
        self.newcomers = 0

    @property
    def fullness(self) -> float:
        """How much of what it can do is taken, about 0 to 1: of places, of a core, of its engine.

        It may serve other gateways, too.
        """
        hello = self.hello
        places = max(len(self.assigned), hello.sessions + self.newcomers) / hello.max_sessions
        core = hello.cores + self.newcomers * SESSION_CORES
        return max(places, min(1.0, core), min(1.0, hello.final_wait_s / FULL_WAIT_S))


class Heard(NamedTuple):
    """What a heartbeat changed."""

    is_new: bool
    starts_draining: bool


class TranscriberRegistry:
    """Live instances by id.

    Args:
        timeout_s: silence after which an instance is given up.
        retransmit_min_s, retransmit_max_s: bounds of the timeout of a frame that is sent there.
    """

    def __init__(
        self, timeout_s: float, retransmit_min_s: float = 0.25, retransmit_max_s: float = 4.0
    ) -> None:
        self._timeout_s = timeout_s
        self._retransmit_s = retransmit_min_s, retransmit_max_s
        self._live: dict[str, Transcriber] = {}

    def __len__(self) -> int:
        return len(self._live)

    def get(self, instance: str | None) -> Transcriber | None:
        """A live instance."""
        return self._live.get(instance) if instance is not None else None

    def fed_timer(self, instance: str | None) -> RetransmissionTimer | None:
        """How long a live instance takes to say that it has a frame."""
        transcriber = self.get(instance)
        return None if transcriber is None else transcriber.fed_timer

    def all(self) -> list[Transcriber]:
        """Every live instance."""
        return list(self._live.values())

    def hear(self, hello: TranscriberHello, now_s: float) -> Heard:
        """Take in a heartbeat."""
        known = self._live.get(hello.instance)
        if known is None:
            timer = RetransmissionTimer(*self._retransmit_s)
            self._live[hello.instance] = Transcriber(hello, now_s, timer)
            return Heard(is_new=True, starts_draining=False)
        starts_draining = hello.draining and not known.hello.draining
        known.hello = hello
        known.newcomers = 0
        known.last_heard_s = now_s
        return Heard(is_new=False, starts_draining=starts_draining)

    def silent(self, now_s: float) -> list[Transcriber]:
        """The instances that were not heard of for too long."""
        return [t for t in self._live.values() if now_s - t.last_heard_s > self._timeout_s]

    def forget(self, instance: str) -> Transcriber | None:
        """Give up one instance at once."""
        return self._live.pop(instance, None)

    def assign(self, session: bytes, *, avoid: str | None = None) -> Transcriber | None:
        """Give a session a place at the least full instance with room; None when there is none.

        Args:
            avoid: an instance that gets it only if no other has room.
        """
        chosen = self._least_loaded(avoid) or (self._least_loaded(None) if avoid else None)
        if chosen is not None:
            chosen.assigned.add(session)
            chosen.newcomers += 1
        return chosen

    def _least_loaded(self, avoid: str | None) -> Transcriber | None:
        candidates = [
            t
            for t in self._live.values()
            if not t.hello.draining
            and len(t.assigned) < t.hello.max_sessions
            and t.hello.instance != avoid
        ]
        if not candidates:
            return None
        return min(candidates, key=lambda t: t.fullness)

    def release(self, session: bytes, instance: str | None) -> None:
        """A session left its instance."""
        transcriber = self.get(instance)
        if transcriber is not None:
            transcriber.assigned.discard(session)

    @property
    def final_wait_s(self) -> float:
        """For how long a final that comes now would wait, where it would wait least."""
        waits = (t.hello.final_wait_s for t in self._live.values() if not t.hello.draining)
        return min(waits, default=0.0)

    @property
    def free_places(self) -> int:
        """Sessions that instances still take, all together."""
        return sum(
            max(0, t.hello.max_sessions - len(t.assigned))
            for t in self._live.values()
            if not t.hello.draining
        )

    @property
    def has_room(self) -> bool:
        """Whether any instance takes one more session."""
        return any(
            not t.hello.draining and len(t.assigned) < t.hello.max_sessions
            for t in self._live.values()
        )
