"""Which session's frame goes out next: one frame of each in turn, so that none starves another."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


class FairQueue(Generic[S]):
    """Round-robin over the sessions that have something to send.

    Args:
        send_one: sends one frame of a session. Returns None when there is nothing to send (any
            more), True when a frame went out, False when the link is full.
    """

    def __init__(self, send_one: Callable[[S], bool | None]) -> None:
        self._send_one = send_one
        self._turns: dict[S, None] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, session: S) -> None:
        """A session has something to send; it keeps its place if it is queued."""
        self._turns.setdefault(session)

    def remove(self, session: S) -> None:
        """A session is gone."""
        self._turns.pop(session, None)

    def pump(self) -> None:
        """Send in turn until all is sent or the link is full."""
        while self._turns:
            session = next(iter(self._turns))
            sent = self._send_one(session)
            if sent is False:
                return
            del self._turns[session]
            if sent:
                self._turns[session] = None
