"""Which control connection commands which session.

Two ways, both without I/O and clock. A client that names its session on both connections
(``?session=NAME``) is paired by that name: see :class:`NamedSessions`. Others are paired by where
their connections come from: see :class:`Origin` and :class:`ArrivalOrder`. On the gateway's own
host that is the process that opened both, which is knowledge. From elsewhere it is the same address
in the same short moment, which is a guess: nothing in a stock client's handshakes tells it from its
neighbour behind that address, so of two clients that a script started within 100 ms of each other,
one pair in thirty was crossed. A stranger that comes at another time gets nothing.
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


class Origin(NamedTuple):
    """Where a connection comes from, as far as it can be seen.

    Attributes:
        process: the one that opened it, if it is of this host and may be looked at.
        user: who runs that process, likewise; seen for more of them.
        page: the web page that opened it, as its browser says; "" where none did.
        is_local: it comes from this host.
        is_proxied: it was forwarded, so that nothing of the above is known of the client.
    """

    address: str
    process: int | None = None
    user: int | None = None
    page: str = ""
    is_local: bool = False
    is_proxied: bool = False

    def is_same(self, other: Origin) -> bool:
        """Whether both are known to be of one client's making."""
        return None not in (self.process, other.process) and self.may_be_same(other)

    def may_be_same(self, other: Origin) -> bool:
        """Whether two connections of the same moment may be taken for one client's."""
        if self.is_proxied or other.is_proxied or self.page != other.page:
            return False
        if self.process is not None and other.process is not None:
            return self.process == other.process
        if self.is_local or other.is_local:
            return self.user is not None and self.user == other.user
        return self.address == other.address


class _Waiting(NamedTuple, Generic[C]):
    member: C
    since_s: float
    origin: Origin

    def is_fresh(self, now_s: float) -> bool:
        return now_s - self.since_s <= FRESH_S


class ArrivalOrder(Generic[C, D]):
    """Pairs control connections (``C``) with data connections (``D``) of one address.

    A new connection gets the oldest partner that arrived just now and may be of the same client. Of
    those that have waited for longer it gets only one that is known to be: a client that opens one
    kind of connection only, such as the stock browser page, must not get what is another's. A data
    connection that has waited is left to a control connection that finds no other
    (:meth:`claim`). A control connection that closes gives its data connection back: stock clients
    open and close a probe first. One that was used was no probe, so what it gives back is left to
    be claimed.
    """

    def __init__(self) -> None:
        self._controls: dict[str, list[_Waiting[C]]] = {}
        self._datas: dict[str, list[_Waiting[D]]] = {}
        self._pairs: dict[C, _Waiting[D]] = {}

    def add_control(self, control: C, now_s: float, origin: Origin) -> D | None:
        """A control connection arrived; the data connection that it belongs to, if it is there."""
        chosen = _choose(self._datas.get(origin.address, []), origin, now_s)
        if chosen is None:
            waiting = _Waiting(control, now_s, origin)
            self._controls.setdefault(origin.address, []).append(waiting)
            return None
        _remove(self._datas, origin.address, chosen.member)
        self._pairs[control] = chosen
        return chosen.member

    def add_data(self, data: D, now_s: float, origin: Origin) -> C | None:
        """A data connection arrived; the control connection that waits for it, if any."""
        arrival = _Waiting(data, now_s, origin)
        waiting = self._controls.get(origin.address, [])
        patient = (one for one in waiting if one.origin.is_same(origin))
        chosen = _choose(waiting, origin, now_s) or next(patient, None)
        if chosen is None:
            self._datas.setdefault(origin.address, []).append(arrival)
            return None
        _remove(self._controls, origin.address, chosen.member)
        self._pairs[chosen.member] = arrival
        return chosen.member

    def claim(self, control: C, origin: Origin) -> D | None:
        """The oldest data connection of the same client that waits, for one that waits, too."""
        controls = self._controls.get(origin.address, [])
        datas = self._datas.get(origin.address, [])
        own = next((one for one in datas if one.origin.is_same(origin)), None)
        if own is None or all(control != waiting.member for waiting in controls):
            return None
        _remove(self._controls, origin.address, control)
        _remove(self._datas, origin.address, own.member)
        self._pairs[control] = own
        return own.member

    def remove_control(
        self, control: C, now_s: float, origin: Origin, *, used: bool = False
    ) -> tuple[C, D] | None:
        """A control connection closed; another one and the data connection that it gets now.

        Args:
            used: it carried a command.
        """
        _remove(self._controls, origin.address, control)
        data = self._pairs.pop(control, None)
        if data is None:
            return None
        if used:
            data = data._replace(since_s=-math.inf)
        waiting = self._controls.get(origin.address, [])
        heir = _choose(waiting, data.origin, now_s) if data.is_fresh(now_s) else None
        if heir is not None:
            _remove(self._controls, origin.address, heir.member)
            self._pairs[heir.member] = data
            return heir.member, data.member
        datas = self._datas.setdefault(origin.address, [])
        datas.append(data)
        datas.sort(key=lambda one: one.since_s)
        return None

    def remove_data(self, data: D, address: str) -> None:
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


def _choose(waiting: list[_Waiting[X]], origin: Origin, now_s: float) -> _Waiting[X] | None:
    """Who came just now: known to be of the same client if there is one, else who may be."""
    fresh = [one for one in waiting if one.is_fresh(now_s)]
    known = (one for one in fresh if one.origin.is_same(origin))
    likely = (one for one in fresh if one.origin.may_be_same(origin))
    return next(known, None) or next(likely, None)


def _remove(queues: dict[str, list[_Waiting[X]]], address: str, member: X) -> None:
    kept = [waiting for waiting in queues.get(address, ()) if waiting.member != member]
    if kept:
        queues[address] = kept
    else:
        queues.pop(address, None)
