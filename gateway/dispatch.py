"""Which session's frame goes out next: one frame of each in turn, so that none starves another."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


class FairQueue(Generic[S]):
    """The sessions that have something to send, in the order of their turns.

    Who takes a turn sends one frame, and is added again if it has more.
    """

    def __init__(self) -> None:
        self._turns: dict[S, None] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, session: S) -> None:
        """A session has something to send; it keeps its turn if it has one."""
        self._turns.setdefault(session)

    def remove(self, session: S) -> None:
        """A session is gone."""
        self._turns.pop(session, None)

    def next(self) -> S | None:
        """The session whose turn it is now; None when there is none."""
        for session in self._turns:
            del self._turns[session]
            return session
        return None
