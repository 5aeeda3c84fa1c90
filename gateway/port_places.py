"""Places for the connections of one port, of which no address has more than half. Pure."""

from __future__ import annotations

from collections import Counter

from gateway.budgets import Met
from gateway.penalties import network_of

BOUND = "port_connections"


class PortPlaces:
    """Gives places and takes them back.

    Args:
        most: places.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_one = max(1, most // 2)
        self._taken: Counter[str] = Counter()

    def take(self, address: str, *, is_many: bool = False) -> Met | None:
        """None: the address has one more, until :meth:`give_back`.

        Args:
            is_many: the address stands for many clients.
        """
        if self._taken.total() >= self._most:
            return Met(BOUND, f"the port has its {self._most} connections; try later")
        network = network_of(address)
        if self._taken[network] >= self._of_one and not is_many:
            text = f"this address has its {self._of_one} connections of the port; try later"
            return Met(BOUND, text)
        self._taken[network] += 1
        return None

    def give_back(self, address: str) -> None:
        """A connection is gone."""
        network = network_of(address)
        self._taken[network] -= 1
        if not self._taken[network]:
            del self._taken[network]
