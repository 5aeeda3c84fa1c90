"""Failures that outlive a connection: counted by API key or by address, forgotten after a while.

A connection begins with the failures of whom it belongs to, so that who comes back tolerates no
more than who stayed. A count alone refuses nobody: only a corrupt frame of its own rejects a
client, so whoever shares a key or an address and sends intact frames is never rejected for others.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from common.errors import SettingsError
from common.limit_settings import CountBy
from common.settings import GatewaySettings
from gateway.penalties import network_of

MAX_REMEMBERED: Final = 10_000
"""Keys or addresses whose failures are remembered; the one that failed longest ago goes first."""


class _Kind(enum.StrEnum):
    """Keeps a key from being taken for an address of the same letters."""

    KEY = "key"
    ADDRESS = "address"


Subject = tuple[_Kind, str]


class FailureBook:
    """One gateway's counts. Holds no clock.

    Args:
        count_by: what stands for a client; ``connection``: nothing is remembered.
        expiry_s: without a failure for so long, a count is forgotten.
        is_many: whether an address stands for many clients, as a trusted proxy's does; then each
            connection counts for itself.
    """

    def __init__(
        self,
        count_by: CountBy = CountBy.CONNECTION,
        expiry_s: float = 0.0,
        is_many: Callable[[str], bool] = lambda _: False,
        most: int = MAX_REMEMBERED,
    ) -> None:
        self._count_by = count_by
        self._expiry_s = expiry_s
        self._is_many = is_many
        self._most = most
        self._failures: OrderedDict[Subject, tuple[int, float]] = OrderedDict()

    @classmethod
    def of(
        cls, settings: GatewaySettings, is_many: Callable[[str], bool] = lambda _: False
    ) -> FailureBook:
        """The book that settings ask for.

        Raises:
            SettingsError: keys are to be counted by, and there are none.
        """
        count_by = CountBy(settings.count_by)
        if count_by is CountBy.KEY and not settings.api_keys:
            raise SettingsError("--count-by key needs keys: name their file with --api-keys")
        return cls(count_by, settings.count_expiry_s, is_many)

    def __len__(self) -> int:
        """Keys or addresses that are remembered."""
        return len(self._failures)

    def page(self, key_name: str, address: str) -> Page | None:
        """Where the failures of a client are entered; None: they are its connection's alone."""
        if self._count_by is CountBy.KEY and key_name:
            return Page(self, (_Kind.KEY, key_name))
        if self._count_by is CountBy.ADDRESS and not self._is_many(address):
            return Page(self, (_Kind.ADDRESS, network_of(address)))
        return None

    def count(self, subject: Subject, now_s: float) -> int:
        """Failures so far; ``now_s``: of a monotonic clock."""
        count, last_s = self._failures.get(subject, (0, now_s))
        return 0 if now_s - last_s > self._expiry_s else count

    def add(self, subject: Subject, now_s: float) -> int:
        """Enter one more; how many there are now."""
        count = self.count(subject, now_s) + 1
        self._failures[subject] = (count, now_s)
        self._failures.move_to_end(subject)
        while len(self._failures) > self._most:
            self._failures.popitem(last=False)
        return count

    def forget(self, now_s: float) -> None:
        """Let go of the counts that are over."""
        while self._failures:
            subject, (_, last_s) = next(iter(self._failures.items()))
            if now_s - last_s <= self._expiry_s:
                return
            del self._failures[subject]


class Page:
    """One client's place in the book, whatever connections it comes by."""

    __slots__ = ("_book", "_subject")

    def __init__(self, book: FailureBook, subject: Subject) -> None:
        self._book = book
        self._subject = subject

    def count(self, now_s: float) -> int:
        """Failures so far."""
        return self._book.count(self._subject, now_s)

    def add(self, now_s: float) -> int:
        """Enter one more; how many there are now."""
        return self._book.add(self._subject, now_s)
