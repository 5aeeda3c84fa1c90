"""Events that wait to be read by the user of a client: bounded, with a policy for each kind."""

from __future__ import annotations

import asyncio
from collections import deque

from ..events import (
    Acknowledged,
    FrameVerdict,
    Notice,
    Realtime,
    ServerEvent,
    TranscriptionStart,
)
from .errors import ResultsOverflowError

ClientEvent = ServerEvent | Notice

_LATEST_WINS = (Realtime, TranscriptionStart)
_MAY_BE_DROPPED = (FrameVerdict, Acknowledged, Notice)


class _Cell:
    """A place in the queue; emptied when a later event makes its own worthless."""

    __slots__ = ("event",)

    def __init__(self, event: ClientEvent) -> None:
        self.event: ClientEvent | None = event


class PendingEvents:
    """At most ``max_events`` unread events, oldest first. No I/O.

    Policy: of partial results and utterance audio only the latest waits; at the bound the older
    half of the verdicts, acknowledgements and notices goes (``dropped`` counts them); sentences,
    errors and the report stay, and when they alone reach the bound, :meth:`put` raises, unless
    nobody ever read (a user of callbacks): then the oldest go.
    """

    def __init__(self, max_events: int) -> None:
        self._max_events = max_events
        self._cells: deque[_Cell] = deque()
        self._latest: dict[type, _Cell] = {}
        self._ever_read = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._cells)

    def put(self, event: ClientEvent) -> None:
        """Add an event.

        Raises:
            ResultsOverflowError: the user stopped reading, and what waits may not be dropped.
        """
        cell = _Cell(event)
        if isinstance(event, _LATEST_WINS):
            stale = self._latest.get(type(event))
            if stale is not None:
                stale.event = None
            self._latest[type(event)] = cell
        self._cells.append(cell)
        if len(self._cells) > self._max_events:
            self._shrink()

    def get(self) -> ClientEvent | None:
        """Take the oldest event, or None."""
        self._ever_read = True
        while self._cells:
            cell = self._cells.popleft()
            if cell.event is not None:
                if self._latest.get(type(cell.event)) is cell:
                    del self._latest[type(cell.event)]
                return cell.event
        return None

    def _shrink(self) -> None:
        cells = [cell for cell in self._cells if cell.event is not None]
        loose = sum(isinstance(cell.event, _MAY_BE_DROPPED) for cell in cells)
        to_drop = (loose + 1) // 2 if len(cells) > self._max_events // 2 else 0
        kept: deque[_Cell] = deque()
        for cell in cells:
            if to_drop and isinstance(cell.event, _MAY_BE_DROPPED):
                to_drop -= 1
                self.dropped += 1
            else:
                kept.append(cell)
        self._cells = kept
        if len(kept) <= self._max_events:
            return
        if self._ever_read:
            raise ResultsOverflowError(
                f"{len(kept)} results wait unread: read the stream's events as they come"
            )
        while len(kept) > self._max_events:
            kept.popleft()
            self.dropped += 1


class EventQueue:
    """:class:`PendingEvents` that an asyncio task can wait on."""

    def __init__(self, max_events: int) -> None:
        self._pending = PendingEvents(max_events)
        self._arrived = asyncio.Event()
        self._closed = False

    @property
    def dropped(self) -> int:
        """Verdicts, acknowledgements and notices dropped because nobody read them."""
        return self._pending.dropped

    def put(self, event: ClientEvent) -> None:
        """Add an event; raises as :meth:`PendingEvents.put`."""
        self._pending.put(event)
        self._arrived.set()

    def close(self) -> None:
        """No more events come."""
        self._closed = True
        self._arrived.set()

    async def get(self) -> ClientEvent | None:
        """The oldest event, waiting for one; None when closed and empty."""
        while (event := self._pending.get()) is None and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        return event
