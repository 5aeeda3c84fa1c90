"""What is kept of clients' audio for a replay: the sum, its bounds, and what is given up first.

Each session has an account; who keeps a frame or lets go of one books it there, and nowhere else is
anything added up. When a bound is met, what could only matter in a crash is given up: by the
session that is over its own bound, or by those that are over their fair share of the total, the
largest first. Holds no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

SLACK: Final = 1 / 16
"""How far below the total bound memory is freed, so that not every frame after it frees again."""


class Account:
    """Bytes that are kept for one session.

    Attributes:
        bytes: their number now.
        waiting_bytes: what the session's connection holds beside them, not yet taken in.
    """

    __slots__ = ("_book", "bytes", "waiting_bytes")

    def __init__(self, book: Book | None = None) -> None:
        self.bytes = self.waiting_bytes = 0
        self._book = Book() if book is None else book

    def keep(self, size: int) -> None:
        """Something is kept from now on."""
        self.bytes += size
        self._book.bytes += size

    def let_go(self, size: int) -> None:
        """It is kept no longer."""
        self.bytes -= size
        self._book.bytes -= size


class Book:
    """The sum of all accounts."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Excess(NamedTuple, Generic[K]):
    """A session that keeps too much.

    Attributes:
        session: whose.
        target_bytes: what it may keep.
        scope: which bound was met, ``session`` or ``total``.
    """

    session: K
    target_bytes: int
    scope: str


class RetentionLedger(Generic[K]):
    """The accounts of all sessions, by ``K``.

    Args:
        session_bytes: bound of one session.
        total_bytes: bound of all together.
    """

    def __init__(self, session_bytes: int, total_bytes: int) -> None:
        self._session_bytes = session_bytes
        self._all_bytes = self._total_bytes = total_bytes
        self._book = Book()
        self._accounts: dict[K, Account] = {}

    @property
    def bytes(self) -> int:
        """What is kept for all sessions."""
        return self._book.bytes

    def reserve(self, held_bytes: int) -> None:
        """Leave room for what connections hold beside: up to half of the same bound.

        What an account says of its own connection is part of it, and of that session's share.
        """
        self._total_bytes = self._all_bytes - min(held_bytes, self._all_bytes // 2)

    def open(self, session: K) -> Account:
        """A session begins; its account."""
        account = self._accounts[session] = Account(self._book)
        return account

    def close(self, session: K) -> None:
        """A session ended: what was kept for it is freed."""
        account = self._accounts.pop(session, None)
        if account is not None:
            account.let_go(account.bytes)

    def is_over(self, account: Account) -> bool:
        """Whether a bound is met now that this account has grown."""
        return account.bytes > self._session_bytes or self._book.bytes > self._total_bytes

    def excesses(self, session: K) -> list[Excess[K]]:
        """Who has to give up what, now that this session's account has grown."""
        found: list[Excess[K]] = []
        account = self._accounts[session]
        over = account.bytes - self._session_bytes
        if over > 0:
            found.append(Excess(session, self._session_bytes, "session"))
        if self._book.bytes - max(0, over) > self._total_bytes:
            found += self._over_share()
        return found

    def _over_share(self) -> list[Excess[K]]:
        """Who takes more than the share at which all together keep the total bound.

        The share is what remains for each of the large when all the small have what they have.
        """
        waiting = sum(account.waiting_bytes for account in self._accounts.values())
        of_others = max(0, self._all_bytes - self._total_bytes - waiting)
        left = int((self._all_bytes - of_others) * (1 - SLACK)) - waiting
        share = _level(self._accounts.values(), left)
        by_size = sorted(self._accounts.items(), key=lambda item: item[1].bytes, reverse=True)
        targets = ((key, a.bytes, max(0, share - a.waiting_bytes)) for key, a in by_size)
        return [Excess(key, target, "total") for key, size, target in targets if size > target]


def _level(accounts: Iterable[Account], left: int) -> int:
    """Up to which all may keep what they have, beside what waits for each, when ``left`` is kept.

    In one pass, for a frame may meet the bound that nothing can be given up for.
    """
    if left <= 0:
        return 0
    edges = [
        edge for a in accounts for edge in ((a.waiting_bytes, 1), (a.waiting_bytes + a.bytes, -1))
    ]
    level = keepers = 0
    for size, change in sorted(edges):
        kept = keepers * (size - level)
        if kept > left:
            return level + left // keepers
        left -= kept
        level = size
        keepers += change
    return level
