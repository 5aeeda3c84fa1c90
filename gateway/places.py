"""Places of which nobody has all: a port's connections, and files that are transcribed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gateway.budgets import Met
from gateway.penalties import network_of


class Places:
    """Gives places and takes them back.

    Args:
        bound: its name in metrics.
        most: places.
        of_one: of them, for one owner; at least one.
        all_taken, own_taken: what who gets none is told, with ``{}`` for either number.
        as_one: of an owner, what counts as one.
    """

    def __init__(
        self,
        bound: str,
        most: int,
        of_one: int,
        *,
        all_taken: str,
        own_taken: str,
        as_one: Callable[[str], str] = str,
    ) -> None:
        self._most = most
        self._of_one = max(1, of_one)
        self._all_taken = Met(bound, all_taken.format(self._most))
        self._own_taken = Met(bound, own_taken.format(self._of_one))
        self._as_one = as_one
        self._taken: Counter[str] = Counter()

    def take(self, owner: str, *, is_many: bool = False) -> Met | None:
        """None: ``owner`` has one more, until :meth:`give_back`.

        Args:
            is_many: the owner stands for many.
        """
        owner = self._as_one(owner)
        if self._taken.total() >= self._most:
            return self._all_taken
        if self._taken[owner] >= self._of_one and not is_many:
            return self._own_taken
        self._taken[owner] += 1
        return None

    def give_back(self, owner: str) -> None:
        """A place is free again."""
        owner = self._as_one(owner)
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]


def port_places(most: int) -> Places:
    """For the connections of one port: half of them for one network."""
    return Places(
        "port_connections",
        most,
        most // 2,
        all_taken="the port has its {} connections; try later",
        own_taken="this address has its {} connections of the port; try later",
        as_one=network_of,
    )


def upload_places(most: int) -> Places:
    """For files that are sent and transcribed: a quarter, one at least, is left for somebody else;
    where there is only one, it is anybody's.
    """
    return Places(
        "uploads",
        most,
        most - max(1, most // 4),
        all_taken="too many files are being sent or transcribed; try later",
        own_taken="{} files of yours are being sent or transcribed; try later",
    )
