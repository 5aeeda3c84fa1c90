"""HTTP whose peers may send few small chunks: each costs as much as one of many kilobytes.

A read of the socket can hold forty thousand chunks of one byte, which are all looked at before
anybody else has a turn.
"""

from __future__ import annotations

import time
from typing import Any, Final

import h11

from common.limit_settings import LimitSettings
from gateway.budgets import Met, TokenBucket

SMALL_BYTES: Final = 512
BURST_S: Final = 5.0
"""Small chunks at once, in seconds of their rate."""


class SmallChunksError(Exception):
    """There were too many; its argument is the bound that was met."""


class ChunkCounter(h11.Connection):
    """A server's end of HTTP/1.1.

    Raises:
        SmallChunksError: from ``next_event``.
    """

    def __init__(self, limits: LimitSettings, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._per_s = limits.small_chunks_per_s
        self._budget = TokenBucket(self._per_s, BURST_S * self._per_s, time.monotonic())

    def next_event(self) -> Any:
        """The next event; a chunk that is whole and small is counted."""
        event = super().next_event()
        if (
            type(event) is h11.Data
            and event.chunk_start
            and event.chunk_end
            and len(event.data) < SMALL_BYTES
            and not self._budget.take(time.monotonic())
        ):
            text = f"more than {self._per_s:g} chunks of under {SMALL_BYTES} bytes a second"
            raise SmallChunksError(Met("small_chunks", text))
        return event
