"""Which control connection commands which session.

Two ways, both without I/O and clock. A client that names its session on both connections
(``?session=NAME``) is paired by that name: see :class:`NamedSessions`. Others are paired per
address in order of arrival: see :class:`ArrivalOrder`. Nothing in a stock client's handshakes
tells it from its neighbour behind the same address. On the gateway's own host the owning process
does, where it can be seen; elsewhere the order of arrival is a good guess, not knowledge: of two
clients that a script started within 100 ms of each other, one pair in thirty was crossed.
"""

from __future__ import annotations

import math
import re
from typing import Final, Generic, NamedTuple, TypeVar

C = TypeVar("C")
D = TypeVar("D")

FRESH_S: Final = 2.0
"""A client opens its two connections within milliseconds of each other; on a loaded machine,
within this time."""

_NAME: Final = re.compile(r"[0-9a-fA-F]{32}")


class _Waiting(NamedTuple, Generic[C]):
    member: C
    since_s: float
    owner: int | None

    def may_be_of(self, owner: int | None) -> bool:
        """Whether nothing speaks against both being of one process."""
        return owner is None or self.owner is None or owner == self.owner

    def is_fresh(self, now_s: float) -> bool:
        return now_s - self.since_s <= FRESH_S


class ArrivalOrder(Generic[C, D]):
    """Pairs control connections (``C``) with data connections (``D``) of one address.

    A new connection gets the oldest partner that waits, but one that arrived just now goes before
    one that has waited for long: that is a client which opens one kind of connection only, such
    as the stock browser page. A data connection that has waited for long is left to a control
    connection that finds no other (:meth:`claim`). A control connection that closes gives its
    data connection back: stock clients open and close a probe first. One that was used was no
    probe, so what it gives back is left to be claimed.

    ``owner`` is the process at the far end, if it is known: connections of different processes
    are not paired, unless one of them has waited for long.
    """

    def __init__(self) -> None:
        self._controls: dict[str, list[_Waiting[C]]] = {}
        self._datas: dict[str, list[_Waiting[D]]] = {}
        self._pairs: dict[C, _Waiting[D]] = {}

    def add_control(
        self, address: str, control: C, now_s: float, owner: int | None = None
    ) -> D | None:
        """A control connection arrived; the data connection that it belongs to, if it is there."""
        fresh = _choose(self._datas.get(address, []), owner, now_s)
        if fresh is None:
            self._controls.setdefault(address, []).append(_Waiting(control, now_s, owner))
            return None
        _remove(self._datas, address, fresh.member)
        self._pairs[control] = fresh
        return fresh.member

    def add_data(self, address: str, data: D, now_s: float, owner: int | None = None) -> C | None:
        """A data connection arrived; the control connection that waits for it, if any."""
        arrival = _Waiting(data, now_s, owner)
        waiting = self._controls.get(address, [])
        patient = (control for control in waiting if not control.is_fresh(now_s))
        chosen = _choose(waiting, owner, now_s) or next(patient, None)
        if chosen is None:
            self._datas.setdefault(address, []).append(arrival)
            return None
        _remove(self._controls, address, chosen.member)
        self._pairs[chosen.member] = arrival
        return chosen.member

    def claim(self, address: str, control: C) -> D | None:
        """The data connection that has waited longest, for a control connection that waits."""
        controls, datas = self._controls.get(address, []), self._datas.get(address, [])
        if not datas or all(control != waiting.member for waiting in controls):
            return None
        _remove(self._controls, address, control)
        data = datas[0]
        _remove(self._datas, address, data.member)
        self._pairs[control] = data
        return data.member

    def remove_control(
        self, address: str, control: C, now_s: float, *, used: bool = False
    ) -> tuple[C, D] | None:
        """A control connection closed; another one and the data connection that it gets now.

        Args:
            used: it carried a command.
        """
        _remove(self._controls, address, control)
        data = self._pairs.pop(control, None)
        if data is None:
            return None
        if used:
            data = data._replace(since_s=-math.inf)
        heirs = (c for c in self._controls.get(address, ()) if c.may_be_of(data.owner))
        heir = next(heirs, None) if data.is_fresh(now_s) else None
        if heir is not None:
            _remove(self._controls, address, heir.member)
            self._pairs[heir.member] = data
            return heir.member, data.member
        datas = self._datas.setdefault(address, [])
        datas.append(data)
        datas.sort(key=lambda waiting: waiting.since_s)
        return None

    def remove_data(self, address: str, data: D) -> None:
        """A data connection closed."""
        _remove(self._datas, address, data)
        for control, paired in list(self._pairs.items()):
            if paired.member == data:
                del self._pairs[control]


class NamedSessions(Generic[C, D]):
    """Sessions by the names that their clients gave them, and control connections by name.

    A name is 32 hexadecimal digits that the client draws at random: who knows it may command the
    session, from any address.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, D] = {}
        self._controls: dict[str, list[C]] = {}

    @staticmethod
    def is_name(name: str) -> bool:
        """Whether a text can be a name: one that is guessed easily protects nothing."""
        return _NAME.fullmatch(name) is not None

    def find(self, name: str) -> D | None:
        """The live session with this name."""
        return self._sessions.get(name.lower())

    def add_data(self, name: str, session: D) -> list[C]:
        """A session with a name begins (the latest has it); its control connections."""
        self._sessions[name.lower()] = session
        return list(self._controls.get(name.lower(), ()))

    def add_control(self, name: str, control: C) -> None:
        """A control connection names its session, which may be yet to come."""
        self._controls.setdefault(name.lower(), []).append(control)

    def remove_control(self, name: str, control: C) -> None:
        """A control connection closed."""
        controls = self._controls.get(name.lower(), [])
        if control in controls:
            controls.remove(control)
            if not controls:
                del self._controls[name.lower()]

    def remove_data(self, name: str, session: D) -> None:
        """A session ended; a later one may have its name by now."""
        if self._sessions.get(name.lower()) == session:
            del self._sessions[name.lower()]


X = TypeVar("X")


def _choose(waiting: list[_Waiting[X]], owner: int | None, now_s: float) -> _Waiting[X] | None:
    """Who came just now: of the same process if there is one, else the oldest that may be."""
    fresh = [one for one in waiting if one.is_fresh(now_s) and one.may_be_of(owner)]
    same = [one for one in fresh if owner is not None and one.owner == owner]
    return next(iter(same or fresh), None)


def _remove(queues: dict[str, list[_Waiting[X]]], address: str, member: X) -> None:
    kept = [waiting for waiting in queues.get(address, ()) if waiting.member != member]
    if kept:
        queues[address] = kept
    else:
        queues.pop(address, None)
