"""When a frame is sent again. Holds no clock."""

from __future__ import annotations

from typing import Final

HELD_S: Final = 5.0
"""For so long, and at most for twice as long, the worst latency counts."""
MARGIN: Final = 1.5
"""Of the timeout over the worst latency."""


class RetransmissionTimer:
    """Retransmission timeout out of measured latencies, as RFC 6298 does for TCP.

    A process that gets no CPU time for a moment delays all frames at once, and does so again: what
    is spurious once shall not be at each such moment, so the worst latency counts for a while.

    Args:
        least_s, most_s: bounds of the timeout, in seconds.
    """

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._smoothed_s = 0.0
        self._deviation_s = 0.0
        self._base_s = least_s
        self._worst_s = self._worst_before_s = 0.0
        self._turn_s = 0.0

    def measured(self, latency_s: float, now_s: float) -> None:
        """Take in how long a frame took that was not lost."""
        if not self._smoothed_s:
            self._smoothed_s, self._deviation_s = latency_s, latency_s / 2
        else:
            error_s = latency_s - self._smoothed_s
            self._smoothed_s += error_s / 8
            self._deviation_s += (abs(error_s) - self._deviation_s) / 4
        if now_s >= self._turn_s:
            self._worst_before_s = self._worst_s if now_s < self._turn_s + HELD_S else 0.0
            self._worst_s, self._turn_s = 0.0, now_s + HELD_S
        if latency_s > self._worst_s:
            self._worst_s = latency_s
        base_s = self._smoothed_s + 4 * self._deviation_s
        self._base_s = max(
            base_s, MARGIN * self._worst_s, MARGIN * self._worst_before_s, self._least_s
        )

    def timeout_s(self, attempts: int) -> float:
        """Seconds to wait after the ``attempts``-th send (from 1); doubles with each."""
        backed_off_s: float = self._base_s * 2 ** min(attempts - 1, 16)
        return backed_off_s if backed_off_s < self._most_s else self._most_s
