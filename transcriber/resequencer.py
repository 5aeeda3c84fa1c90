"""Puts one session's frames back in order. Feeds nothing, waits for nothing."""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

F = TypeVar("F")


class Arrival(enum.Enum):
    """What became of a frame that arrived."""

    HELD = "held"
    DUPLICATE = "duplicate"
    """It was taken before, or is held already."""
    BEYOND_WINDOW = "beyond_window"
    """More than a window ahead of what is wanted: dropped, it will be sent again."""


class Resequencer(Generic[F]):
    """A buffer of at most ``window`` frames that gives them out by seq, each once.

    Args:
        next_seq: the first frame that is wanted.
        window: how far ahead of it frames are held.
    """

    def __init__(self, next_seq: int, window: int) -> None:
        self.next_seq = next_seq
        self._window = window
        self._held: dict[int, F] = {}
        self._held_below = next_seq

    def __len__(self) -> int:
        return len(self._held)

    @property
    def held_below(self) -> int:
        """One past the highest frame that is held; ``next_seq`` when none is."""
        return max(self._held_below, self.next_seq)

    def accept(self, seq: int, frame: F) -> Arrival:
        """Hold a frame until its turn comes."""
        if seq < self.next_seq or seq in self._held:
            return Arrival.DUPLICATE
        if seq >= self.next_seq + self._window:
            return Arrival.BEYOND_WINDOW
        self._held[seq] = frame
        self._held_below = max(self._held_below, seq + 1)
        return Arrival.HELD

    def take(self) -> F | None:
        """The wanted frame, if it is there; the next one is wanted from then on."""
        frame = self._held.pop(self.next_seq, None)
        if frame is not None:
            self.next_seq += 1
        return frame

    def gaps(self) -> list[int]:
        """The frames that are missing before others that are held, ascending."""
        return [seq for seq in range(self.next_seq, self.held_below) if seq not in self._held]
