"""How far a process's recorders are behind with live audio. Pure.

Where a process has too little of a core, all its live streams fall behind alike. Audio that waits
because its client sends a recording at full speed says nothing of that: such a stream comes faster
than it was spoken, and is left out. Of the others it is the middle one that tells.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Final, NamedTuple

USUAL_S: Final = 0.5
"""Audio that waits in a process that keeps up: clients send it in chunks."""
AHEAD_S: Final = 1.0
"""A stream that came so much faster than live is a recording, until its audio was heard."""
LIVE_SPEED: Final = 1.25
"""Times real time: what a live stream comes with at most, for long, after a pause on its way."""


class Backlog(NamedTuple):
    """One session's recorder.

    Attributes:
        fed_s: seconds of all audio that it was fed.
        waiting_s: those that it has not heard yet.
    """

    session: bytes
    fed_s: float
    waiting_s: float


class Lag:
    """Looked at every heartbeat, with the recorders of all sessions."""

    def __init__(self) -> None:
        self._streams: dict[bytes, _Stream] = {}

    def look(self, recorders: Iterable[Backlog], now_s: float) -> float:
        """Seconds by which live streams are behind; 0 where that is as usual."""
        before, self._streams = self._streams, {}
        waits: list[float] = []
        for heard in recorders:
            stream = before.get(heard.session) or _Stream(heard, now_s)
            self._streams[heard.session] = stream
            if stream.is_live(heard, now_s):
                waits.append(heard.waiting_s)
        middle_s = statistics.median_low(waits) if waits else 0.0
        return middle_s if middle_s > USUAL_S else 0.0


class _Stream:
    """How far a session's audio is ahead of the clock, since it was last heard to its end."""

    __slots__ = ("_ahead_s", "_fed_s", "_looked_s")

    def __init__(self, heard: Backlog, now_s: float) -> None:
        self._ahead_s = heard.waiting_s
        self._fed_s = heard.fed_s
        self._looked_s = now_s

    def is_live(self, heard: Backlog, now_s: float) -> bool:
        fed_s, passed_s = heard.fed_s - self._fed_s, now_s - self._looked_s
        self._fed_s, self._looked_s = heard.fed_s, now_s
        if heard.waiting_s <= USUAL_S:
            self._ahead_s = 0.0
        else:
            self._ahead_s = max(0.0, self._ahead_s + fed_s - LIVE_SPEED * passed_s)
        return self._ahead_s <= AHEAD_S
