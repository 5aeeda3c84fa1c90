"""How much of an engine's time finals take, lately; what partials may have of the rest. Pure.

Calls are not interrupted: a final that comes while partials run waits for the end of their call.
So partials give way before finals have to wait: the more of the time finals take, the longer the
pause after a call of partials, and such a call carries no more than a fraction of a second's work.
"""

from __future__ import annotations

import math
from typing import Final

WINDOW_S: Final = 5.0
"""Time over which the share decays to a third."""
LEAST_SHARE: Final = 0.1
"""Of the time is left to partials, however busy finals keep the engine."""
CALL_S: Final = 0.25
"""Of work that one call of partials may carry; a single request goes whatever it takes."""
LEARNING: Final = 0.3
"""Weight of the latest call in what a request is expected to take."""


class Load:
    """The recent use of one engine's workers.

    Args:
        concurrency: workers.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = max(1, concurrency)
        self._finals = 0.0
        self._at_s: float | None = None
        self._each_s = 0.0

    def finals_ran(self, duration_s: float, now: float) -> None:
        """A call of finals has just ended."""
        self._finals = self.finals_share(now)
        self._at_s = now
        # What a worker that does nothing else comes to, is 1.
        self._finals += duration_s / WINDOW_S / self._concurrency

    def partials_ran(self, duration_s: float, requests: int) -> None:
        """A call of partials has ended."""
        each_s = duration_s / max(1, requests)
        known = self._each_s
        self._each_s = known + LEARNING * (each_s - known) if known else each_s

    def finals_share(self, now: float) -> float:
        """Share of the workers' time that finals take, 0 to about 1."""
        if self._at_s is None:
            return 0.0
        return self._finals * math.exp(-max(0.0, now - self._at_s) / WINDOW_S)

    def partials_share(self, most: float, now: float) -> float:
        """Share of a worker's time that partials may take: ``most``, and less beside finals."""
        return min(most, max(LEAST_SHARE, 1.0 - self.finals_share(now)))

    def partials_per_call(self, most: int) -> int:
        """Requests that one call of partials may carry."""
        return most if not self._each_s else max(1, min(most, int(CALL_S / self._each_s)))
