"""When newcomers are turned away because the engines are busy. Pure.

A short peak is no overload: many people may fall silent in the same second. Only a wait that has
been too long for a while, in every heartbeat, keeps newcomers out; one good one lets them in again.
"""

from __future__ import annotations

from typing import Final

SUSTAINED_S: Final = 2.0
"""The wait must have been too long since then."""


class Overload:
    """Whether the engines have kept finals waiting for too long.

    Args:
        most_s: a final may wait as long; 0: for ever.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._wait_s = 0.0
        self._since_s: float | None = None

    def hear(self, wait_s: float, now_s: float) -> None:
        """A heartbeat: for how long a final that came now would wait."""
        self._wait_s = wait_s
        if not 0 < self._most_s < wait_s:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s

    def reason(self, now_s: float) -> str:
        """Why a newcomer is turned away; "" if it is not."""
        if self._since_s is None or now_s - self._since_s < SUSTAINED_S:
            return ""
        return f"the engines are busy: a sentence would wait {self._wait_s:.1f} s; try later"
