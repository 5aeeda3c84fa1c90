"""Follows a client's own frame counter (``audioSequence``) to find lost and repeated frames."""

from __future__ import annotations

from typing import NamedTuple


class Anomaly(NamedTuple):
    """A jump in a client's counter: ``lost``, ``repeated`` or ``reordered``."""

    kind: str
    expected: int
    got: int

    @property
    def frames(self) -> int:
        """How many frames it concerns."""
        return self.got - self.expected if self.kind == "lost" else 1


class SequenceTracker:
    """Compares each frame's counter with what it should be; frames come in arrival order.

    A frame that skips numbers counts them as lost; if one turns up later it was reordered.
    Remembers at most ``memory`` missing numbers.
    """

    def __init__(self, memory: int = 1024) -> None:
        self._memory = memory
        self._expected: int | None = None
        self._missing: dict[int, None] = {}
        self.lost = 0
        self.repeated = 0
        self.reordered = 0

    def follow(self, number: int | None) -> Anomaly | None:
        """Look at the next frame's counter (None: it has none)."""
        if number is None:
            return None
        expected, self._expected = self._expected, max(self._expected or 0, number + 1)
        if expected is None or number == expected:
            return None
        if number > expected:
            for missing in range(max(expected, number - self._memory), number):
                self._missing[missing] = None
            while len(self._missing) > self._memory:
                del self._missing[next(iter(self._missing))]
            self.lost += number - expected
            return Anomaly("lost", expected, number)
        if number in self._missing:
            del self._missing[number]
            self.lost -= 1
            self.reordered += 1
            return Anomaly("reordered", expected, number)
        self.repeated += 1
        return Anomaly("repeated", expected, number)
