"""A connection's way straight into its session: whole frames need no turn of the task that reads.

What there is no room for waits here, and with it all that comes behind; the connection is read no
further meanwhile. All that is no plain frame goes on to the task, which answers it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from websockets.frames import OP_BINARY, Frame

from gateway.metrics import GatewayMetrics

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1
"""Frames that wait before reading pauses; those that were read with them wait, too."""


class Source(Protocol):
    """The connection that frames come from."""

    @property
    def is_behind(self) -> bool:
        """Whether messages wait for the task that reads them."""

    def to_reader(self, frame: Frame) -> None:
        """Let that task have a frame of a message, behind those."""

    def pause(self) -> None:
        """Read no further; may repeat."""

    def go_on(self) -> None:
        """Read on, unless something else wants a pause."""

    def abort(self) -> None:
        """Cut the connection."""


class Inlet:
    """Of one session, on one connection.

    Args:
        must_wait: whether the session has no room for a frame.
        take: gives the session a message; False: it is no plain frame, or not taken any more.
    """

    def __init__(
        self,
        source: Source,
        must_wait: Callable[[], bool],
        take: Callable[[bytes], bool],
        metrics: GatewayMetrics,
    ) -> None:
        self._source = source
        self._must_wait = must_wait
        self._take = take
        self._metrics = metrics
        self._waiting: deque[Frame] = deque()
        self._loop = asyncio.get_running_loop()
        self._look_is_due = False
        self._stalled_since_s = 0.0

    @property
    def held_bytes(self) -> int:
        """What waits here."""
        return sum(len(frame.data) for frame in self._waiting)

    def arrive(self, frame: Frame) -> None:
        """A data frame came, a message or a part of one."""
        if self._waiting:
            self._waiting.append(frame)
        elif not self._is_plain(frame):
            self._source.to_reader(frame)
            return
        elif not self._must_wait():
            if not self._take(bytes(frame.data)):
                self._source.to_reader(frame)
            return
        else:
            self._stalled_since_s = time.monotonic()
            self._metrics.window_stalls.inc()
            self._waiting.append(frame)
        if len(self._waiting) > MOST_WAITING:
            self._source.pause()

    def progress(self) -> None:
        """There may be room again: looked at once in a turn of the loop, for all that happened."""
        if self._waiting and not self._look_is_due:
            self._look_is_due = True
            self._loop.call_soon(self._look)

    def flush(self) -> None:
        """The connection is gone: the task that reads ends with what waits."""
        waiting, self._waiting = self._waiting, deque()
        for frame in waiting:
            self._source.to_reader(frame)

    def _look(self) -> None:
        self._look_is_due = False
        try:
            self._go_on()
        except (
            Exception
        ):  # in a callback nobody hears of it, and the connection would wait for ever
            log.exception("a frame could not be taken in; its connection ends")
            self._source.abort()

    def _go_on(self) -> None:
        waiting, source = self._waiting, self._source
        if not waiting:
            return
        while waiting:
            frame = waiting[0]
            is_plain = self._is_plain(frame)
            if is_plain and self._must_wait():
                return
            waiting.popleft()
            if not (is_plain and self._take(bytes(frame.data))):
                source.to_reader(frame)
        self._metrics.window_stall_seconds.inc(time.monotonic() - self._stalled_since_s)
        source.go_on()

    def _is_plain(self, frame: Frame) -> bool:
        """Whether it is a whole binary message, and none before it waits for the task."""
        return frame.opcode is OP_BINARY and frame.fin and not self._source.is_behind
