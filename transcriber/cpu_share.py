"""How many cores a process used since it was last asked. Pure."""

from __future__ import annotations


class CpuShare:
    """CPU time over time.

    Args:
        now_s, cpu_s: the clock, and the CPU time that the process has taken so far.
    """

    def __init__(self, now_s: float, cpu_s: float) -> None:
        self._now_s, self._cpu_s = now_s, cpu_s
        self._share = 0.0

    def look(self, now_s: float, cpu_s: float) -> float:
        """Cores in use since the last look; what was said then, if no time has passed."""
        if now_s > self._now_s:
            self._share = max(0.0, cpu_s - self._cpu_s) / (now_s - self._now_s)
            self._now_s, self._cpu_s = now_s, cpu_s
        return self._share
