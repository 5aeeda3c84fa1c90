"""What had happened to a frame that healed, for its client: now and then, for it takes a while."""

from __future__ import annotations

from typing import Final

from common.events import Healed
from common.forensics.hex_view import hex_view
from common.forensics.what_happened import compare
from common.wire import without_mark
from gateway.healing import Mended
from gateway.window import HeldFrame

INTERVAL_S: Final = 1.0
"""One frame of a session is explained in so many seconds."""
MAX_BYTES: Final = 32 << 10
"""Longer frames are not."""


class Explainer:
    """One session's."""

    def __init__(self) -> None:
        self._from_s = float("-inf")

    def healed(self, frame: HeldFrame, sequence: int, mended: Mended, now_s: float) -> Healed:
        """The event of a frame that healed; ``now_s``: on a monotonic clock."""
        delay_ms = round(mended.delay_s * 1000, 3)
        if frame.spoiled is None or now_s < self._from_s:
            return Healed(sequence, mended.attempts, delay_ms)
        arrived, sent = frame.spoiled[0], without_mark(frame.message)
        if max(len(arrived), len(sent)) > MAX_BYTES:
            return Healed(sequence, mended.attempts, delay_ms)
        self._from_s = now_s + INTERVAL_S
        found = compare(arrived, sent)
        view = list(hex_view(arrived, sent, found.at, found.length))
        return Healed(sequence, mended.attempts, delay_ms, found.text, view)
