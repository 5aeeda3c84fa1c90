"""How many cores a process has used for a while, without a break. Pure."""

from __future__ import annotations

import collections
from typing import Final

STEADY_S: Final = 3.0
"""What a process used for less long is a peak, and says nothing of the time that it has left."""


class CpuShare:
    """CPU time over time: the least of any stretch between two looks, of the last seconds.

    A look tells whether a process has no time left, so a peak is left out: a start, a clip that is
    sent at once, the first milliseconds of a process. One stretch with time left ends it.

    Args:
        now_s, cpu_s: the clock, and the CPU time that the process has taken so far.
    """

    def __init__(self, now_s: float, cpu_s: float) -> None:
        self._since_s = self._now_s = now_s
        self._cpu_s = cpu_s
        self._stretches: collections.deque[tuple[float, float]] = collections.deque()

    def look(self, now_s: float, cpu_s: float) -> float:
        """Cores that were in use at least; 0 until there were looks for long enough."""
        if now_s > self._now_s:
            share = max(0.0, cpu_s - self._cpu_s) / (now_s - self._now_s)
            self._now_s, self._cpu_s = now_s, cpu_s
            self._stretches.append((now_s, share))
        while self._stretches and self._stretches[0][0] <= self._now_s - STEADY_S:
            self._stretches.popleft()
        if self._now_s - self._since_s < STEADY_S:
            return 0.0
        return min(share for _, share in self._stretches)
