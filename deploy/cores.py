"""How many cores this machine, or this container, has for us, and what they are for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

QUOTA_FILE: Final = Path("/sys/fs/cgroup/cpu.max")
"""Of a container: microseconds of CPU time, or ``max``, and the period that they are of."""
RECORDERS_SHARE: Final = 0.75
"""Of a session's CPU time, recorders take three quarters and more (``bench --only engine``)."""


def usable_cores() -> float:
    """Cores that this process may use, by its affinity and its container's quota."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        return min(cores, quota_cores(QUOTA_FILE.read_text()))
    except (OSError, ValueError):  # no container, or one without a quota of this kind
        return cores


def quota_cores(text: str) -> float:
    """Cores that a quota comes to.

    Raises:
        ValueError: it is none.
    """
    quota, period = text.split()
    return float("inf") if quota == "max" else int(quota) / int(period)


def recorder_processes(cores: float) -> int:
    """How many transcribers there are cores for: each is one core of Python at most."""
    return max(1, int(cores * RECORDERS_SHARE))


def transcriber_count(most: int, text: str) -> int:
    """The number that an option asks for: ``auto``, or a whole number to ``most``.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    if text == "auto":
        return min(most, recorder_processes(usable_cores()))
    try:
        count = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, nor auto") from None
    if not 0 <= count <= most:
        raise argparse.ArgumentTypeError(f"{text} given, allowed are auto and 0 to {most}")
    return count
