"""Which control connection commands which session.

A control connection belongs to the session named by ``?session=ID`` when it carries it.
Otherwise connections from one address are paired in order of arrival. A stock client opens and
closes a probe on the control port first: a closed connection is out of the queue, so it pairs
with nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)
D = TypeVar("D", bound=Hashable)


class Pairing(Generic[C, D]):
    """Pairs control connections (``C``) with data connections (``D``) per address."""

    def __init__(self) -> None:
        self._controls: dict[str, deque[C]] = {}
        self._datas: dict[str, deque[D]] = {}

    def add_control(self, address: str, control: C) -> D | None:
        """A control connection arrived; the data connection that it belongs to, if it is there."""
        return _pair_or_wait(self._datas, self._controls, address, control)

    def add_data(self, address: str, data: D) -> C | None:
        """A data connection arrived; the control connection that waits for it, if any."""
        return _pair_or_wait(self._controls, self._datas, address, data)

    def remove_control(self, address: str, control: C) -> None:
        """A control connection closed or found its session by name."""
        _remove(self._controls, address, control)

    def remove_data(self, address: str, data: D) -> None:
        """A data connection closed or was named by a control connection."""
        _remove(self._datas, address, data)


X = TypeVar("X")
Y = TypeVar("Y")


def _pair_or_wait(
    others: dict[str, deque[X]], own: dict[str, deque[Y]], address: str, arrival: Y
) -> X | None:
    waiting = others.get(address)
    if not waiting:
        own.setdefault(address, deque()).append(arrival)
        return None
    partner = waiting.popleft()
    if not waiting:
        del others[address]
    return partner


def _remove(queues: dict[str, deque[X]], address: str, member: X) -> None:
    queue = queues.get(address)
    if queue is not None and member in queue:
        queue.remove(member)
        if not queue:
            del queues[address]
