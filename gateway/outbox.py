"""The bounded queue of events to one connection.

Overflow policy: of partial results and acknowledgements only the latest waits. The latest
acknowledgement is never shed, for a client whose window is full sends nothing until it comes, and
no other follows; it has a place of its own. Partial results and verdicts of good frames are shed
when the queue is full (the report counts them all); anything else that does not fit means that the
client does not read its results, and ends the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from common.events import Acknowledged, FrameVerdict, Notice, Realtime, ServerEvent

Queued = ServerEvent | Notice

LATEST_WINS: Final = (Realtime, Acknowledged)


class OutboxOverflowError(Exception):
    """An event that must not be lost found the queue full."""


class Outbox:
    """Events that wait to be sent on one connection, oldest first.

    Args:
        limit: most events that wait, beside the latest acknowledgement.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[Queued] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Queued) -> None:
        """Queue an event.

        Raises:
            OutboxOverflowError: the queue is full and the event may not be shed.
        """
        if isinstance(event, LATEST_WINS):
            self._replace(event)
        if not isinstance(event, Acknowledged) and self._is_full():
            if _may_be_shed(event):
                return
            if not self._shed_one():
                raise OutboxOverflowError(f"{len(self._events)} results wait to be read")
        self._events.append(event)

    def take(self) -> Queued | None:
        """The oldest event, if any."""
        return self._events.popleft() if self._events else None

    def _replace(self, event: Queued) -> None:
        kind = type(event)
        for index, queued in enumerate(self._events):
            if type(queued) is kind:
                del self._events[index]
                return

    def _is_full(self) -> bool:
        if len(self._events) < self._limit:
            return False
        return sum(not isinstance(queued, Acknowledged) for queued in self._events) >= self._limit

    def _shed_one(self) -> bool:
        for index, queued in enumerate(self._events):
            if _may_be_shed(queued):
                del self._events[index]
                return True
        return False


def _may_be_shed(event: Queued) -> bool:
    if isinstance(event, Realtime):
        return True
    return isinstance(event, FrameVerdict) and event.verdict != "corrupt"


class AsyncOutbox:
    """An :class:`Outbox` that a connection's writer task can wait on."""

    def __init__(self, limit: int) -> None:
        self._outbox = Outbox(limit)
        self._arrived = asyncio.Event()
        self.overflow: str = ""
        self.closed = False

    def put(self, event: Queued) -> None:
        """Queue an event; an overflow is remembered in ``overflow`` and wakes the writer."""
        try:
            self._outbox.put(event)
        except OutboxOverflowError as error:
            self.overflow = str(error)
        self._arrived.set()

    def close(self) -> None:
        """Let the writer end when it has sent what waits."""
        self.closed = True
        self._arrived.set()

    async def take(self) -> Queued | None:
        """The next event; None when closed and empty, or on overflow."""
        while True:
            if self.overflow:
                return None
            event = self._outbox.take()
            if event is not None or self.closed:
                return event
            self._arrived.clear()
            await self._arrived.wait()
