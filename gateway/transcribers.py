"""The transcribers that are alive, and which one a session goes to. Holds no socket, no clock."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.envelope import TranscriberHello
from gateway.retransmission import RetransmissionTimer

SESSION_CORES: Final = 0.02
"""That a session is taken to need until its transcriber says how it does."""
FULL_WAIT_S: Final = 1.0
"""An engine that lets a final wait for so long has no time left, nor a core that is so late."""
NEARLY_FULL: Final = 0.8
"""Of a core or of an engine: less says nothing, for it is measured, and a busy machine is noisy."""
SHOWN_AFTER_S: Final = 3.0
"""A session's use of a core shows in what its transcriber says (its CpuShare) as late."""
LINGERS_S: Final = 3.0
"""A session that left may be counted by its transcriber for as long."""


class Transcriber:
    """One live instance as the gateway sees it.

    Attributes:
        assigned: sessions of this gateway.
        others: sessions that it has from other gateways, as far as can be told.
        fed_timer: how long it takes to say that it has a frame: a busy one says so late.
    """

    __slots__ = (
        "_given_s",
        "_left_s",
        "assigned",
        "fed_timer",
        "hello",
        "last_heard_s",
        "others",
    )

    def __init__(
        self, hello: TranscriberHello, now_s: float, fed_timer: RetransmissionTimer
    ) -> None:
        self.hello = hello
        self.fed_timer = fed_timer
        self.last_heard_s = now_s
        self.assigned: set[bytes] = set()
        self.others = hello.sessions
        self._given_s: dict[bytes, float] = {}  # sessions that its core does not show yet
        self._left_s: dict[bytes, float] = {}  # sessions that it may still count

    def hear(self, hello: TranscriberHello, now_s: float) -> None:
        """It says how it does."""
        self.hello = hello
        self.last_heard_s = now_s
        self._given_s = _younger(self._given_s, now_s - SHOWN_AFTER_S)
        self._left_s = _younger(self._left_s, now_s - LINGERS_S)
        ours = len(self.assigned) + len(self._left_s)
        self.others = max(0, hello.sessions - ours)

    def give(self, session: bytes) -> None:
        """It gets a session."""
        self.assigned.add(session)
        self._left_s.pop(session, None)
        self._given_s[session] = self.last_heard_s

    def lose(self, session: bytes) -> None:
        """A session left it."""
        if session in self.assigned:
            self.assigned.discard(session)
            self._given_s.pop(session, None)
            self._left_s[session] = self.last_heard_s

    @property
    def is_busy(self) -> bool:
        """Whether its core, or its engine, has next to no time left."""
        core = self.hello.cores + len(self._given_s) * SESSION_CORES
        late_s = max(self.hello.final_wait_s, self.hello.lag_s)
        return max(core, late_s / FULL_WAIT_S) >= NEARLY_FULL

    @property
    def places_taken(self) -> float:
        """Of its places, 0 to 1."""
        return (len(self.assigned) + self.others) / self.hello.max_sessions


def _younger(sessions: dict[bytes, float], than_s: float) -> dict[bytes, float]:
    return {session: at_s for session, at_s in sessions.items() if at_s > than_s}


class Change(NamedTuple):
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

    def hear(self, hello: TranscriberHello, now_s: float) -> Change:
        """Take in a heartbeat."""
        known = self._live.get(hello.instance)
        if known is None:
            timer = RetransmissionTimer(*self._retransmit_s)
            self._live[hello.instance] = Transcriber(hello, now_s, timer)
            return Change(is_new=True, starts_draining=False)
        starts_draining = hello.draining and not known.hello.draining
        known.hear(hello, now_s)
        return Change(is_new=False, starts_draining=starts_draining)

    def silent(self, now_s: float) -> list[Transcriber]:
        """The instances that were not heard of for too long."""
        return [t for t in self._live.values() if now_s - t.last_heard_s > self._timeout_s]

    def forget(self, instance: str) -> Transcriber | None:
        """Give up one instance at once."""
        return self._live.pop(instance, None)

    def assign(self, session: bytes, *, avoid: str | None = None) -> Transcriber | None:
        """Give a session a place at the least full instance with room; None when there is none.

        How many sessions it has decides, among those that have time left if there are any.

        Args:
            avoid: an instance that gets it only if no other has room.
        """
        chosen = self._least_loaded(avoid) or (self._least_loaded(None) if avoid else None)
        if chosen is not None:
            chosen.give(session)
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
        return min(candidates, key=lambda t: (t.is_busy, t.places_taken))

    def release(self, session: bytes, instance: str | None) -> None:
        """A session left its instance."""
        transcriber = self.get(instance)
        if transcriber is not None:
            transcriber.lose(session)

    @property
    def final_wait_s(self) -> float:
        """For how long a final that comes now would wait, where it would wait least."""
        waits = (t.hello.final_wait_s for t in self._live.values() if not t.hello.draining)
        return min(waits, default=0.0)

    @property
    def lag_s(self) -> float:
        """By how much live streams are behind, where they are least."""
        lags = (t.hello.lag_s for t in self._live.values() if not t.hello.draining)
        return min(lags, default=0.0)

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
