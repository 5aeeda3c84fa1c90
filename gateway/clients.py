"""Who hears a session and who commands it: the registry that both ports and the hub are given.

A *client* is the one that sends a session's audio; observers hear it, control lines command it.
Whatever speaks some protocol with a client (the data port's WebSockets, or a translator of another
protocol) is seen from here as a :class:`Client`; how one gets a session is in
:mod:`gateway.reception`. Holds no socket and no clock.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from common.api_keys import ApiKey, name_of
from common.errors import CloseCode
from common.events import STOCK_EVENT_TYPES, Error
from gateway.integrity_log import IntegrityLog
from gateway.outbox import Queued
from gateway.pairing import ArrivalOrder, NamedSessions, Origin
from gateway.session import Session


class Client(Protocol):
    """What hears a session: the far end of one connection, whatever protocol it speaks.

    All calls come from the event loop's thread and must not block.

    Attributes:
        peer: address and port as log lines name the client.
        address: its address alone.
    """

    peer: str
    address: str

    def deliver(self, event: Queued) -> None:
        """Send an event as soon as the connection allows; never waits."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection, after what was delivered before is sent."""

    def progress(self) -> None:
        """The session's window moved, or the session is this client's no more: look again."""


class Commander(Protocol):
    """What commands a session: one control connection."""

    session: Session | None
    key_name: str

    def attach(self, session: Session) -> None:
        """There is a session to command."""

    def detach(self) -> None:
        """The session ended, or is commanded by another."""

    def wake(self) -> None:
        """The session has a recorder now: commands may be waiting for it."""


class Attachment:
    """A session and all that are attached to it.

    Attributes:
        log: writes the session's lines on integrity.
        origin: where the client that began the session comes from.
        name: the client's own for the session; "" without one.
        key: the API key that it belongs to; None where none are asked for.
        client: who sends its audio; None while it is away.
        observers: with whether they asked for integrity events.
        was_held_back: the client was told that it is held back.
        expires_s: until when a client that is away may return, on the monotonic clock.
    """

    __slots__ = (
        "_address",
        "client",
        "controls",
        "expires_s",
        "key",
        "log",
        "name",
        "observers",
        "origin",
        "session",
        "was_held_back",
    )

    def __init__(
        self,
        session: Session,
        log: IntegrityLog,
        client: Client,
        *,
        origin: Origin | None = None,
        name: str = "",
        key: ApiKey | None = None,
    ) -> None:
        self.session = session
        self.log = log
        self.client: Client | None = client
        self._address = client.address
        self.origin = origin or Origin(client.address)
        self.name = name
        self.key = key
        self.observers: dict[Client, bool] = {}
        self.controls: set[Commander] = set()
        self.expires_s: float | None = None
        self.was_held_back = False

    @property
    def whose(self) -> tuple[str, str]:
        """The address of the client that began it, and the name of its key ("": none)."""
        return self._address, name_of(self.key)


def of_one_key(one: Attachment, other: Attachment) -> bool:
    """Whether two sessions belong to the same API key, or both to nobody."""
    return name_of(one.key) == name_of(other.key)


class Clients:
    """The attachments of all sessions of a gateway.

    Args:
        broadcast: everyone's results are sent to every client.
    """

    def __init__(self, *, broadcast: bool = False) -> None:
        self._broadcast: Final = broadcast
        self._attachments: dict[bytes, Attachment] = {}
        self._arrivals: ArrivalOrder[Commander, bytes] = ArrivalOrder()
        self._names: NamedSessions[Commander, bytes] = NamedSessions()

    # -- sessions ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._attachments)

    def __iter__(self) -> Iterator[Attachment]:
        return iter(self._attachments.values())

    def get(self, session_id: bytes) -> Attachment | None:
        """A session's attachment."""
        return self._attachments.get(session_id)

    def find(self, key: str) -> Attachment | None:
        """The session with this id, looked up in time that tells no near miss, or this name."""
        try:
            attachment = self._attachments.get(bytes.fromhex(key))
        except ValueError:
            return None
        if attachment is not None and hmac.compare_digest(attachment.session.key, key.lower()):
            return attachment
        named = self._names.find(key)
        return self._attachments.get(named) if named is not None else None

    def find_own(self, key: str) -> Attachment | None:
        """The session with this id: a name does not let anybody resume."""
        attachment = self.find(key)
        return attachment if attachment and attachment.session.key == key.lower() else None

    def add(self, attachment: Attachment, now_s: float) -> None:
        """A session begins; the control lines that wait for it get it."""
        session = attachment.session
        self._attachments[session.id] = attachment
        waiting: Iterable[Commander] = ()
        if attachment.name:
            waiting = self._names.add_data(attachment.name, session.id)
        elif not session.wants_events:  # one with events is told its id: nothing is guessed
            line = self._arrivals.add_data(session.id, now_s, attachment.origin)
            waiting = () if line is None else (line,)
        for line in waiting:
            self._give(session.id, line)

    def remove(self, session_id: bytes) -> Attachment | None:
        """A session ended: all that are attached to it are told."""
        attachment = self._attachments.pop(session_id, None)
        if attachment is None:
            return None
        self._arrivals.remove_data(session_id, attachment.origin.address)
        if attachment.name:
            self._names.remove_data(attachment.name, session_id)
        for line in attachment.controls:
            if line.session is attachment.session:  # it may have found the next of its name
                line.detach()
        for observer in attachment.observers:
            observer.end(CloseCode.NORMAL, "the session ended")
        return attachment

    # -- who sends its audio -------------------------------------------------------------------

    @staticmethod
    def take_over(attachment: Attachment, client: Client) -> None:
        """A client is back: its new connection replaces the old one, which may be half dead."""
        attachment.expires_s = None
        old, attachment.client = attachment.client, client
        if old is not None:
            old.progress()
            old.end(CloseCode.POLICY_VIOLATION, "the session was resumed on another connection")

    @staticmethod
    def leave(attachment: Attachment, expires_s: float) -> None:
        """A client is away, and may return until then."""
        attachment.client = None
        attachment.expires_s = expires_s

    def expired(self, now_s: float) -> list[Attachment]:
        """Those whose client did not return in time."""
        return [a for a in self if a.expires_s is not None and a.expires_s <= now_s]

    def to_displace(self, address: str, now_s: float, idle_s: float) -> Attachment | None:
        """Who gives way to a new client of this address, when there is no room for more.

        First of those whose client is away, then of those that have sent nothing for ``idle_s``:
        one of the address that has the most sessions, if it has more than the new client's.
        """
        held = Counter(attachment.origin.address for attachment in self)
        own = held[address]
        away = [
            a
            for a in self
            if a.client is None and (a.origin.address == address or own < held[a.origin.address])
        ]
        if away:
            return max(away, key=lambda a: (held[a.origin.address], -(a.expires_s or 0.0)))
        idle = [
            a
            for a in self
            if now_s - a.session.active_s > idle_s and held[a.origin.address] > own + 1
        ]
        if not idle:
            return None
        return max(idle, key=lambda a: (held[a.origin.address], -a.session.active_s))

    # -- who hears it --------------------------------------------------------------------------

    def deliver(self, attachment: Attachment, events: Iterable[Queued]) -> None:
        """Hand events to all who hear a session, as far as each asked for them."""
        client = attachment.client
        for event in events:
            if client is not None:
                client.deliver(event)
            if attachment.observers or self._broadcast:
                self._tell_others(attachment, event)

    def tell(self, session: Session, *events: Queued) -> None:
        """The same, for the session alone."""
        attachment = self._attachments.get(session.id)
        if attachment is not None:
            self.deliver(attachment, events)

    def _tell_others(self, attachment: Attachment, event: Queued) -> None:
        is_stock = event.type in STOCK_EVENT_TYPES
        if self._broadcast and is_stock:
            for other in self._attachments.values():
                own = other is attachment or other.session.wants_utterances
                if other.client is not None and not own and of_one_key(other, attachment):
                    other.client.deliver(event)
        for observer, wants_events in attachment.observers.items():
            if wants_events or is_stock or isinstance(event, Error):
                observer.deliver(event)

    # -- who commands it -----------------------------------------------------------------------

    def add_line(self, line: Commander, now_s: float, origin: Origin) -> Session | None:
        """A control connection without a name; the session that it gets at once, if any."""
        return self._give(self._arrivals.add_control(line, now_s, origin), line)

    def add_named_line(self, line: Commander, name: str) -> Session | None:
        """A control connection that names its session; the session, unless it is yet to come.

        Raises:
            ValueError: that is no name.
        """
        if not self._names.is_name(name):
            raise ValueError("not a name")
        self._names.add_control(name, line)
        attachment = self.find(name)
        return self._give(attachment.session.id, line) if attachment is not None else None

    def claim(self, line: Commander, origin: Origin) -> Session | None:
        """No data connection followed this control connection: is there one without any?"""
        return self._give(self._arrivals.claim(line, origin), line)

    def remove_line(
        self, line: Commander, name: str, now_s: float, origin: Origin, *, used: bool
    ) -> Session | None:
        """A control connection closed; the session that another one got by that, if any.

        Args:
            used: it carried a command.
        """
        attachment = self._attachments.get(line.session.id) if line.session else None
        if attachment is not None:
            attachment.controls.discard(line)
        line.detach()
        if name:
            self._names.remove_control(name, line)
            return None
        freed = self._arrivals.remove_control(line, now_s, origin, used=used)
        return self._give(freed[1], freed[0]) if freed is not None else None

    def wake_lines(self, session: Session) -> None:
        """The session has a recorder now: commands may be waiting for it."""
        attachment = self._attachments.get(session.id)
        for line in attachment.controls if attachment is not None else ():
            line.wake()

    def _give(self, session_id: bytes | None, line: Commander) -> Session | None:
        attachment = self._attachments.get(session_id) if session_id is not None else None
        if attachment is None or name_of(attachment.key) != line.key_name:
            return None  # a session is commanded by its own key only
        attachment.controls.add(line)
        line.attach(attachment.session)
        return attachment.session
