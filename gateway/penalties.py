"""Failed authentications, slowed and counted by address.

Only failures are slowed. Who has a key that is right is let in at once, whatever others behind the
same address did or said to do in its name: so nobody can be locked out by somebody else.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final, NamedTuple

FREE_FAILURES: Final = 3
"""A person who mistypes waits for nothing."""
FIRST_S: Final = 0.25
MOST_S: Final = 2.0
"""Below what a handshake may take at least (``--handshake-timeout``): the answer says why."""
FORGET_S: Final = 300.0
"""An address without a failure for so long begins anew."""
MAX_ADDRESSES: Final = 10_000
"""At as many, the one that failed longest ago is forgotten."""
MAX_WAITING: Final = 64
"""Answers held back at once, of all addresses; others get theirs at once."""


class Penalty(NamedTuple):
    """What follows from one failure.

    Attributes:
        failures: of the address so far.
        delay_s: to hold the answer back for.
    """

    failures: int
    delay_s: float


class FailedAttempts:
    """Counts failures by address; bounded, without clock."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        """Addresses that are remembered."""
        return len(self._failures)

    def failed(self, address: str, now_s: float) -> Penalty:
        """One more failure of an address; ``now_s``: of a monotonic clock."""
        place = network_of(address)
        count, last_s = self._failures.pop(place, (0, now_s))
        if now_s - last_s > FORGET_S:
            count = 0
        count += 1
        self._failures[place] = (count, now_s)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        return Penalty(count, self._delay_s(count))

    def hold_back(self) -> bool:
        """Whether one more answer may be held back now; :meth:`answered` gives its place back."""
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        return True

    def answered(self) -> None:
        """An answer that was held back is given."""
        self._waiting -= 1

    @staticmethod
    def _delay_s(count: int) -> float:
        over = count - FREE_FAILURES
        return 0.0 if over <= 0 else min(MOST_S, FIRST_S * 2.0 ** min(over - 1, 10))


def network_of(address: str) -> str:
    """What counts as one address: of IPv6, the network of 64 bits that one host has to itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
