"""The data port: audio in, results out, one session per client; and observers.

Query string of the URL: ``events=integrity`` asks for verdicts and more; ``session=ID&resume=1``
takes up a session again (``sentences=N``: N final results were received, send the others), or, if
it is not known here, begins one where that was (``skip_samples``, ``run_samples`` and ``sample`` of
the last acknowledgement);
``session=NAME`` alone gives a new session a name of the client's own, by which its control
connection finds it; ``receipt=1`` asks for a signed statement at its end; ``resend=1`` promises
checksums, frame counters and an answer to each ``resend`` event (``first=N``: the counter of the
first frame); ``observe=ID`` (or a name) receives a session's events without sending audio.
A session id comes in a subprotocol (``gateway/credentials.py``); from older clients, as it is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common.api_keys import ApiKey, name_of
from common.errors import BusyError, CloseCode
from common.events import Error
from common.settings import GatewaySettings
from gateway.audit import AuditLog
from gateway.bounded_connection import BoundedConnection
from gateway.clients import Clients
from gateway.connection import Connection
from gateway.handshake import asked_of, of_key
from gateway.local_peer import LocalPeers
from gateway.metrics import GatewayMetrics
from gateway.protocols.base import Pass
from gateway.protocols.realtimestt import (
    FAR_TOO_LARGE,
    End,
    GiveReceipt,
    NotSent,
    RealtimeSttData,
    Refuse,
    may_return,
)
from gateway.protocols.realtimestt_query import Query
from gateway.quota_wait import keep_to_quota
from gateway.reception import Reception, Stream
from gateway.window import START

UNKNOWN_SESSION: Final = Error("unknown_session", "there is no such session", "disconnect")


class DataPort:
    """Serves the data port's WebSocket connections.

    Args:
        reception: begins and ends the sessions.
        clients: the sessions that observers may hear.
        peers: finds a stock client's process.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        reception: Reception,
        clients: Clients,
        peers: LocalPeers,
        audit: AuditLog | None = None,
    ) -> None:
        self._settings = settings
        self._audit = audit or AuditLog("", 0, 0)
        self._metrics = metrics
        self._reception = reception
        self._clients = clients
        self._peers = peers

    async def serve(self, websocket: ServerConnection) -> None:
        """Handle one connection from its handshake to its end."""
        query, key = asked_of(websocket)
        connection = Connection(
            websocket, queue_limit=self._settings.results_queue, metrics=self._metrics
        )
        try:
            if query.observe:
                await self._observe(connection, query, key)
            else:
                await self._stream(connection, query, key)
        except BusyError as error:
            connection.deliver(Error("busy", str(error), "disconnect"))
            connection.end(CloseCode.TRY_AGAIN_LATER, str(error))
        except ConnectionClosed:
            pass
        finally:
            await connection.finished()

    async def _observe(self, connection: Connection, query: Query, key: ApiKey | None) -> None:
        attachment = self._clients.find(query.observe)
        if attachment is None or name_of(attachment.key) != name_of(key):
            connection.deliver(UNKNOWN_SESSION)
            connection.end(CloseCode.POLICY_VIOLATION, UNKNOWN_SESSION.message)
            return
        if len(attachment.observers) >= self._settings.max_observers:
            self._metrics.limits_met.labels("observers").inc()
            most = self._settings.max_observers
            why = f"the session has {most} observers already; try later"
            peer = connection.peer
            self._audit.write(
                "limit_hit", key=name_of(key), client=peer, limit="observers", why=why
            )
            raise BusyError(why)
        attachment.observers[connection] = query.events
        try:
            async for message in connection.websocket:
                if isinstance(message, bytes):
                    self._metrics.refused.labels("observer").inc()
        finally:
            attachment.observers.pop(connection, None)

    async def _stream(self, connection: Connection, query: Query, key: ApiKey | None) -> None:
        told = query.events or query.session  # so that nothing has to be guessed
        origin = None if told else await self._peers.origin_of(connection.websocket)
        if connection.is_closed and not _said_too_much(connection):
            return  # meanwhile, and there is nothing to log
        stream = None
        if query.resume and query.session:
            stream = self._reception.resume(connection, query.session, query.sentences, key=key)
        if stream is None:
            stream = self._reception.begin(
                connection,
                wants_events=query.events,
                wants_receipt=query.receipt,
                resend_from=query.resend_from,
                name=query.session,
                origin=of_key(origin, key),
                start=query.start if query.events else START,
                key=key,
            )
        if isinstance(connection.websocket, BoundedConnection):
            connection.websocket.account = stream.session.window.account
        try:
            await self._read(connection, stream, key)
        finally:
            self._leave(connection, stream)

    async def _read(self, connection: Connection, stream: Stream, key: ApiKey | None) -> None:
        """Take in a client's messages, no faster than its window allows."""
        heals = stream.session.healing is not None
        protocol = RealtimeSttData(self._settings.max_message_bytes, key, heals=heals)
        with self._shortcut(connection, stream, protocol):
            await self._converse(connection, stream, protocol)

    @staticmethod
    def _shortcut(
        connection: Connection, stream: Stream, protocol: RealtimeSttData
    ) -> contextlib.AbstractContextManager[None]:
        """Let plain frames, which are most messages, go into the session without a task's turn."""
        if stream.has_quota:  # which is looked at after each frame
            return contextlib.nullcontext()

        def take(message: bytes) -> bool:
            is_finishing = stream.session.finishing
            if not (protocol.is_plain_frame(message, is_finishing=is_finishing) and stream.is_open):
                return False
            stream.accept(message)
            return True

        return connection.leading_to(lambda: stream.must_wait, take)

    async def _converse(
        self, connection: Connection, stream: Stream, protocol: RealtimeSttData
    ) -> None:
        session, healing = stream.session, stream.session.healing
        async for message in connection.websocket:
            if not stream.is_open or connection.outbox.overflow:
                return
            match protocol.receive(message, is_finishing=session.finishing):
                case Pass(frame=frame):
                    stream.accept(frame)
                    if stream.must_wait:
                        await self._wait_for_room(connection, stream)
                    if stream.has_quota and not await keep_to_quota(stream, connection):
                        return
                case End(frames=frames):
                    stream.finish(frames)
                case GiveReceipt():
                    stream.give_receipt()
                case NotSent(sequence=sequence) if healing is not None:
                    healing.not_sent(sequence)
                case Refuse() as refused:
                    self._refuse(connection, stream, refused)
                    if refused.ends:
                        return
                    await asyncio.sleep(0)  # thousands may have come together: others have a turn

    async def _wait_for_room(self, connection: Connection, stream: Stream) -> None:
        self._metrics.window_stalls.inc()
        began_s = time.monotonic()
        while stream.must_wait and not connection.is_closed:
            await connection.next_progress()
        self._metrics.window_stall_seconds.inc(time.monotonic() - began_s)

    def _refuse(self, connection: Connection, stream: Stream, refused: Refuse) -> None:
        self._metrics.refused.labels(refused.kind).inc()
        if refused.logged:
            stream.refuse(refused.logged)
        if refused.said is not None:
            connection.deliver(refused.said)
            if refused.ends:
                connection.end(CloseCode.POLICY_VIOLATION, refused.said.message)

    @staticmethod
    def _leave(connection: Connection, stream: Stream) -> None:
        if _said_too_much(connection):
            stream.refuse(FAR_TOO_LARGE)
        was_ended = connection.close_with is not None
        code = connection.websocket.close_code
        stream.leave(may_return=may_return(code, was_ended=was_ended))


def _said_too_much(connection: Connection) -> bool:
    """The connection was closed for a message far over the size limit."""
    sent = connection.websocket.protocol.close_sent
    return sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG
