"""When to repeat what a gateway was told last of each session, in case that was lost. No clock."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

EARLY_BEATS: Final = (1, 2, 4)
LATE_BEATS: Final = 8
"""Heartbeats after a change at which it is repeated: some early, then at each multiple of this."""


class Repetition(Generic[K]):
    """Sessions, and for how many heartbeats nothing changed for them.

    Those that speak are not due, for more is soon to be told of them; nor are most of the others,
    so that a thousand silent sessions cost next to nothing.
    """

    def __init__(self) -> None:
        self._unchanged_beats: dict[K, int] = {}

    def changed(self, session: K) -> None:
        """There is something new to be told of a session, or it begins."""
        self._unchanged_beats[session] = 0

    def forget(self, session: K) -> None:
        """A session is gone."""
        self._unchanged_beats.pop(session, None)

    def beat(self) -> Iterator[K]:
        """Every heartbeat: the sessions of which it is to be told once more."""
        unchanged = self._unchanged_beats
        for session, beats in unchanged.items():
            unchanged[session] = beats + 1
            if beats in EARLY_BEATS or (beats and not beats % LATE_BEATS):
                yield session
