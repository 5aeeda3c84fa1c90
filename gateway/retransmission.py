"""How long to wait for a sign of a frame before it is sent again. Holds no clock."""

from __future__ import annotations


class RetransmissionTimer:
    """Retransmission timeout out of measured latencies, as RFC 6298 does for TCP.

    Args:
        least_s, most_s: bounds of the timeout, in seconds.
    """

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._smoothed_s = 0.0
        self._deviation_s = 0.0
        self._base_s = least_s

    def measured(self, latency_s: float) -> None:
        """Take in how long a frame took that was not lost."""
        if not self._smoothed_s:
            self._smoothed_s, self._deviation_s = latency_s, latency_s / 2
        else:
            error_s = latency_s - self._smoothed_s
            self._smoothed_s += error_s / 8
            self._deviation_s += (abs(error_s) - self._deviation_s) / 4
        base_s = self._smoothed_s + 4 * self._deviation_s
        self._base_s = base_s if base_s > self._least_s else self._least_s

    def timeout_s(self, attempts: int) -> float:
        """Seconds to wait after the ``attempts``-th send (from 1); doubles with each."""
        backed_off_s: float = self._base_s * 2 ** min(attempts - 1, 16)
        return backed_off_s if backed_off_s < self._most_s else self._most_s
