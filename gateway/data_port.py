"""The data port: audio in, results out, one session per client; and observers.

Query string of the URL: ``events=integrity`` asks for verdicts and more; ``session=ID&resume=1``
takes up a session again (``sentences=N``: N final results were received, send the others);
``session=NAME`` alone gives a new session a name of the client's own, by which its control
connection finds it; ``observe=ID`` (or a name) receives a session's events without sending audio.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common.errors import CloseCode, MalformedReason
from common.events import END_OF_STREAM, STOCK_EVENT_TYPES, Error, is_end_of_stream
from gateway.connection import Connection
from gateway.control_line import ControlLine
from gateway.hub import Hub
from gateway.integrity_log import IntegrityLog, budget_of_all
from gateway.local_peer import LocalPeers
from gateway.outbox import Queued
from gateway.pairing import ArrivalOrder, NamedSessions
from gateway.query import Query
from gateway.session import Limits, Session

log = logging.getLogger(__name__)


NOT_A_FRAME: Final = Error(
    "not_a_frame",
    f"a frame is a binary message; the only text message here is {END_OF_STREAM}",
    "continue",
)


class Attachment:
    """A session and the connections that hear it: its own client's, and observers.

    Attributes:
        address: of the client that began the session.
        name: the client's own for the session; "" without one.
        observers: with whether they asked for integrity events.
    """

    def __init__(self, session: Session, address: str, name: str) -> None:
        self.session = session
        self.address = address
        self.name = name
        self.connection: Connection | None = None
        self.observers: dict[Connection, bool] = {}
        self.controls: set[ControlLine] = set()
        self.expiry: asyncio.TimerHandle | None = None

    def wake_controls(self) -> None:
        """The session has a recorder now: commands may be waiting for it."""
        for control in self.controls:
            control.wake()


class DataPort:
    """Serves the data port's WebSocket connections."""

    def __init__(
        self,
        hub: Hub,
        arrivals: ArrivalOrder[ControlLine, bytes],
        names: NamedSessions[ControlLine, bytes],
        peers: LocalPeers,
    ) -> None:
        self._hub = hub
        self._settings = hub.settings
        self._arrivals = arrivals
        self._names = names
        self._peers = peers
        self._attachments: dict[bytes, Attachment] = {}
        self._draining = False
        self._log_budget = budget_of_all()

    # -- what the control port asks ------------------------------------------------------------

    def find(self, key: str) -> Session | None:
        """The session with this id or name."""
        attachment = self._find(key) or self._find_named(key)
        return attachment.session if attachment else None

    def adopt_control(self, session_id: bytes, control: ControlLine) -> None:
        """Let a control connection command a session."""
        attachment = self._attachments.get(session_id)
        if attachment is not None:
            attachment.controls.add(control)
            control.attach(attachment.session)
            self._hub.placement.apply_parameters(attachment.session)

    def drop_control(self, control: ControlLine) -> None:
        """A control connection commands nothing any more."""
        attachment = self._attachments.get(control.session.id) if control.session else None
        if attachment is not None:
            attachment.controls.discard(control)
        control.detach()

    def end_session(self, session: Session) -> None:
        """A client asked to shut its session down."""
        attachment = self._attachments.get(session.id)
        if attachment is not None and attachment.connection is not None:
            attachment.connection.end(CloseCode.NORMAL, "session was shut down")
        else:
            self._forget(session.id)

    # -- connections ---------------------------------------------------------------------------

    async def serve(self, websocket: ServerConnection) -> None:
        """Handle one connection from its handshake to its end."""
        query = Query.of(websocket.request.path if websocket.request else "/")
        connection = Connection(
            websocket, queue_limit=self._settings.results_queue, metrics=self._hub.metrics
        )
        try:
            if query.observe:
                await self._observe(connection, query)
            else:
                await self._stream(connection, query)
        except ConnectionClosed:
            pass
        finally:
            await connection.finished()

    async def _observe(self, connection: Connection, query: Query) -> None:
        attachment = self._find(query.observe) or self._find_named(query.observe)
        if attachment is None:
            connection.deliver(Error("unknown_session", "there is no such session", "disconnect"))
            connection.end(CloseCode.POLICY_VIOLATION, "there is no such session")
            return
        attachment.observers[connection] = query.events
        try:
            async for message in connection.websocket:
                if isinstance(message, bytes):
                    self._hub.metrics.refused.labels("observer").inc()
        finally:
            attachment.observers.pop(connection, None)

    async def _stream(self, connection: Connection, query: Query) -> None:
        told = query.events or query.session  # so that nothing has to be guessed
        owner = None if told else await self._peers.owner_of(connection.websocket)
        resumed = self._find(query.session) if query.resume and query.session else None
        if resumed is not None and resumed.session.rejected is None:
            attachment = resumed
            self._take_over(attachment, connection, query)
        elif self._draining or len(self._hub.sessions) >= self._settings.max_sessions:
            self._refuse(connection)
            return
        else:
            attachment = self._begin(connection, query, owner)
        try:
            await self._read(connection, attachment)
        finally:
            self._leave(connection, attachment)

    def _refuse(self, connection: Connection) -> None:
        self._hub.metrics.busy.inc()
        reason = (
            "the server is stopping"
            if self._draining
            else f"the server is at its limit of {self._settings.max_sessions} sessions; try later"
        )
        log.warning("client %s was turned away: %s", connection.peer, reason)
        connection.deliver(Error("busy", reason, "disconnect"))
        connection.end(CloseCode.TRY_AGAIN_LATER, reason)

    def _begin(self, connection: Connection, query: Query, owner: int | None) -> Attachment:
        settings = self._settings
        policy = self._hub.policy

        def deliver(event: Queued) -> None:
            self._deliver(attachment, event)

        session = Session(
            peer=connection.peer,
            wants_events=query.events,
            policy=policy,
            limits=Limits(
                settings.window_frames,
                settings.window_bytes,
                settings.retransmit_min_s,
                settings.retransmit_max_s,
            ),
            log=IntegrityLog(
                connection.peer,
                policy,
                extended=settings.use_extended_logging,
                summary_s=settings.ok_summary_s,
                shared=self._log_budget,
            ),
            tally=self._hub.metrics.tally,
            deliver=deliver,
        )
        name = query.session if NamedSessions.is_name(query.session) else ""
        attachment = Attachment(session, connection.address, name)
        attachment.connection = connection
        self._attachments[session.id] = attachment
        log.info("client %s connected (%d sessions)", session.peer, len(self._attachments))
        if query.events:
            connection.deliver(session.started(resumed=False))
        for control in self._controls_of(attachment, owner):
            self.adopt_control(session.id, control)
        self._hub.on_open[session.id] = attachment.wake_controls
        self._hub.add(session)
        self._hub.on_end[session.id] = lambda: self._end(attachment)
        return attachment

    def _controls_of(self, attachment: Attachment, owner: int | None) -> list[ControlLine]:
        """The control connections that wait for a new session."""
        session = attachment.session
        if attachment.name:
            return self._names.add_data(attachment.name, session.id)
        if session.wants_events:
            return []  # it is told its id, and nobody commands it who does not know that
        control = self._arrivals.add_data(attachment.address, session.id, time.monotonic(), owner)
        return [] if control is None else [control]

    def _take_over(self, attachment: Attachment, connection: Connection, query: Query) -> None:
        """A client is back: its new connection replaces the old one, which may be half dead."""
        if attachment.expiry is not None:
            attachment.expiry.cancel()
            attachment.expiry = None
        old, attachment.connection = attachment.connection, connection
        wake_old_reader = self._hub.on_progress.pop(attachment.session.id, None)
        if wake_old_reader is not None:
            wake_old_reader()
        if old is not None:
            old.end(CloseCode.POLICY_VIOLATION, "the session was resumed on another connection")
        session = attachment.session
        log.info("client %s resumed its session as %s", session.peer, connection.peer)
        connection.deliver(session.started(resumed=True))
        if query.sentences >= 0:
            for sentence in session.missed_sentences(query.sentences):
                connection.deliver(sentence)
        if session.drained:
            self._hub.end_if_done(session)

    async def _read(self, connection: Connection, attachment: Attachment) -> None:
        """Take in a client's messages, no faster than its window allows."""
        session, hub = attachment.session, self._hub
        window, limit = session.window, self._settings.max_message_bytes
        room = asyncio.Event()

        def progress() -> None:
            room.set()
            if session.rejected is not None:
                connection.end(CloseCode.POLICY_VIOLATION, session.rejected[:120])

        def must_wait() -> bool:
            gone = closed.done() or attachment.connection is not connection
            return window.full and not session.is_rejected() and not gone

        # A reader that waits for room must hear that its connection was closed meanwhile.
        closed = asyncio.create_task(connection.websocket.wait_closed())
        closed.add_done_callback(lambda _: room.set())
        hub.on_progress[session.id] = progress
        async for message in connection.websocket:
            if attachment.connection is not connection or session.is_rejected():
                return
            if isinstance(message, str):
                if is_end_of_stream(message):
                    session.said_end = True
                    hub.finish(session)
                else:
                    hub.metrics.refused.labels("text").inc()
                    connection.deliver(NOT_A_FRAME)
                continue
            if session.finishing:
                hub.metrics.refused.labels("after_end").inc()
                continue
            if len(message) > limit:
                self._too_large(connection, session, len(message))
                continue
            hub.accept(session, message)
            if window.full:
                hub.metrics.window_stalls.inc()
                while must_wait():
                    room.clear()
                    await room.wait()

    def _too_large(self, connection: Connection, session: Session, size: int) -> None:
        self._hub.metrics.refused.labels(MalformedReason.TOO_LARGE).inc()
        text = f"frame of {size} bytes is over the limit of {self._settings.max_message_bytes}"
        session.log.refused(text, time.monotonic())
        connection.deliver(Error(MalformedReason.TOO_LARGE, text, "continue"))

    def _leave(self, connection: Connection, attachment: Attachment) -> None:
        """A connection ended; the session outlives it only if its client may resume."""
        if attachment.connection is not connection:
            return
        session = attachment.session
        attachment.connection = None
        self._hub.on_progress.pop(session.id, None)
        ended = connection.close_with is not None or session.is_rejected()
        code = connection.websocket.close_code
        sent = connection.websocket.protocol.close_sent
        if sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG:
            text = "sent a message far over the size limit and was disconnected"
            session.log.refused(text, time.monotonic())
        if ended or not session.wants_events or code in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
            self._forget(session.id)
            return
        grace_s = self._settings.resume_grace_s
        log.info("client %s lost its connection; waiting %g s for it", session.peer, grace_s)
        attachment.expiry = asyncio.get_running_loop().call_later(grace_s, self._forget, session.id)

    def _end(self, attachment: Attachment) -> None:
        """All of a finished stream was delivered."""
        if attachment.connection is None:
            return
        if attachment.session.said_end:
            attachment.connection.end(CloseCode.NORMAL, "end of stream")
        else:  # a client that may go on elsewhere
            attachment.connection.end(CloseCode.GOING_AWAY, "the server is stopping")

    def _forget(self, session_id: bytes) -> None:
        attachment = self._attachments.pop(session_id, None)
        if attachment is None:
            return
        session = attachment.session
        log.info(
            "client %s left: %d frames, %d corrupt, %d sentences",
            session.peer,
            session.window.next_seq,
            session.failures,
            session.sentence_count,
        )
        self._arrivals.remove_data(attachment.address, session_id)
        if attachment.name:
            self._names.remove_data(attachment.name, session_id)
        for control in attachment.controls:
            if control.session is session:  # it may have found the next of its name
                control.detach()
        for observer in attachment.observers:
            observer.end(CloseCode.NORMAL, "the session ended")
        self._hub.remove(session)

    def _deliver(self, attachment: Attachment, event: Queued) -> None:
        if attachment.connection is not None:
            attachment.connection.deliver(event)
        if event.type == "session":
            return  # the id is for its own client only
        is_stock = event.type in STOCK_EVENT_TYPES
        if self._settings.broadcast and is_stock:
            for other in self._attachments.values():
                if other is not attachment and other.connection is not None:
                    other.connection.deliver(event)
        for observer, wants_events in attachment.observers.items():
            if wants_events or is_stock or isinstance(event, Error):
                observer.deliver(event)

    def _find(self, key: str) -> Attachment | None:
        """Look a session up by its id, in time that says nothing about near misses."""
        try:
            session_id = bytes.fromhex(key)
        except ValueError:
            return None
        attachment = self._attachments.get(session_id)
        if attachment is None or not hmac.compare_digest(attachment.session.key, key.lower()):
            return None
        return attachment

    def _find_named(self, name: str) -> Attachment | None:
        session_id = self._names.find(name)
        return self._attachments.get(session_id) if session_id is not None else None

    async def drain(self, timeout_s: float) -> None:
        """Turn new clients away, let the streams end that do within the time, close the rest."""
        self._draining = True
        for attachment in list(self._attachments.values()):
            if not attachment.session.finishing:
                self._hub.finish(attachment.session)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._attachments and asyncio.get_running_loop().time() < deadline:
            if all(a.connection is None for a in self._attachments.values()):
                break
            await asyncio.sleep(0.05)
        for attachment in list(self._attachments.values()):
            if attachment.connection is not None:
                attachment.connection.end(CloseCode.GOING_AWAY, "the server is stopping")
