"""When newcomers are turned away because the engines or the recorders are busy. Pure.

A short peak is no overload: many people may fall silent in the same second. Only a delay that has
been too long for a while, in every heartbeat, keeps newcomers out; one good one lets them in again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SUSTAINED_S: Final = 2.0
"""The delay must have been too long since then."""


class Overload:
    """Whether something has been late for too long.

    Args:
        most_s: it may be as late; 0: for ever.
        text: what a newcomer is told, with ``{:.1f}`` for the seconds.
    """

    def __init__(self, most_s: float, text: str) -> None:
        self._most_s = most_s
        self._text = text
        self._late_s = 0.0
        self._since_s: float | None = None

    def hear(self, late_s: float, now_s: float) -> None:
        """A heartbeat: how late it is now."""
        self._late_s = late_s
        if not 0 < self._most_s < late_s:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s

    def reason(self, now_s: float) -> str:
        """Why a newcomer is turned away; "" if it is not."""
        if self._since_s is None or now_s - self._since_s < SUSTAINED_S:
            return ""
        return self._text.format(self._late_s)


class TryLater(NamedTuple):
    """Why newcomers are turned away: as metrics call it, and in words."""

    why: str
    text: str


class Overloads:
    """What keeps newcomers out; both are told by transcribers, of the least busy one.

    Args:
        max_final_wait_s: that a sentence may wait for an engine.
        max_lag_s: that live streams may be behind.
    """

    def __init__(self, max_final_wait_s: float, max_lag_s: float) -> None:
        self._busy = {
            "final_wait": Overload(
                max_final_wait_s,
                "the engines are busy: a sentence would wait {:.1f} s; try later",
            ),
            "lag": Overload(
                max_lag_s,
                "the recorders are behind: speech would be heard {:.1f} s late; try later",
            ),
        }

    def hear(self, final_wait_s: float, lag_s: float, now_s: float) -> None:
        """A heartbeat: how long a final that came now would wait, and how late audio is heard."""
        self._busy["final_wait"].hear(final_wait_s, now_s)
        self._busy["lag"].hear(lag_s, now_s)

    def refusal(self, now_s: float) -> TryLater | None:
        """Why a newcomer is turned away; None if it is not."""
        for why, overload in self._busy.items():
            if text := overload.reason(now_s):
                return TryLater(why, text)
        return None
