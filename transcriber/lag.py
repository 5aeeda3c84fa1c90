"""How far a process's recorders are behind with the audio that they were fed. Pure.

Where a process has too little of a core, all its live streams fall behind alike; where one client
sends a recording at full speed, only that one has audio waiting. So it is the middle session that
tells.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Final

USUAL_S: Final = 0.5
"""Audio that waits in a process that keeps up: clients send it in chunks."""


def lag_s(waiting_s: Iterable[float]) -> float:
    """Seconds of audio by which live streams are behind.

    Args:
        waiting_s: seconds of audio that wait, by session.
    """
    middle_s = statistics.median_low([*waiting_s] or [0.0])
    return middle_s if middle_s > USUAL_S else 0.0
