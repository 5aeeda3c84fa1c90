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

import time
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common.api_keys import ApiKey, name_of
from common.errors import BusyError, CloseCode, MalformedReason
from common.events import END_OF_STREAM, NO_REQUEST, RECEIPT_PLEASE, Error, client_request
from common.settings import GatewaySettings
from gateway.clients import Clients
from gateway.connection import Connection
from gateway.demands import objection
from gateway.handshake import asked_of, of_key
from gateway.local_peer import LocalPeers
from gateway.metrics import GatewayMetrics
from gateway.query import Query
from gateway.quota_wait import keep_to_quota
from gateway.reception import Reception, Stream
from gateway.window import START

NOT_A_FRAME: Final = Error(
    "not_a_frame",
    f"a frame is a binary message; the text messages here are {END_OF_STREAM} and {RECEIPT_PLEASE}",
    "continue",
)

MAX_TEXT: Final = 256
"""Characters of a text message that is looked at."""
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
    ) -> None:
        self._settings = settings
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
            raise BusyError(f"the session has {most} observers already; try later")
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
        try:
            await self._read(connection, stream, key)
        finally:
            self._leave(connection, stream)

    async def _read(self, connection: Connection, stream: Stream, key: ApiKey | None) -> None:
        """Take in a client's messages, no faster than its window allows."""
        session, limit = stream.session, self._settings.max_message_bytes
        async for message in connection.websocket:
            if not stream.is_open:
                return
            if isinstance(message, str):
                request = client_request(message) if len(message) <= MAX_TEXT else NO_REQUEST
                if request.type == "end":
                    stream.finish(request.frames)
                elif request.type == "receipt":
                    stream.give_receipt()
                elif request.type == "not_sent" and session.healing is not None:
                    session.healing.not_sent(request.sequence)
                else:
                    self._metrics.refused.labels("text").inc()
                    connection.deliver(NOT_A_FRAME)
                continue
            if session.finishing and session.healing is None:
                self._metrics.refused.labels("after_end").inc()
                continue
            if len(message) > limit:
                self._too_large(connection, stream, len(message))
                continue
            if key is not None and (why := objection(key, message)):
                self._demanded(connection, stream, why)
                return
            stream.accept(message)
            if stream.must_wait:
                await self._wait_for_room(connection, stream)
            if stream.has_quota and not await keep_to_quota(stream, connection):
                return

    async def _wait_for_room(self, connection: Connection, stream: Stream) -> None:
        self._metrics.window_stalls.inc()
        began_s = time.monotonic()
        while stream.must_wait and not connection.is_closed:
            await connection.next_progress()
        self._metrics.window_stall_seconds.inc(time.monotonic() - began_s)

    def _demanded(self, connection: Connection, stream: Stream, why: str) -> None:
        """The key demands something else than what was sent: its client is told and let go."""
        self._metrics.refused.labels("demands").inc()
        stream.refuse(why)
        connection.deliver(Error("unverified", why, "disconnect"))
        connection.end(CloseCode.POLICY_VIOLATION, why)

    def _too_large(self, connection: Connection, stream: Stream, size: int) -> None:
        self._metrics.refused.labels(MalformedReason.TOO_LARGE).inc()
        text = f"frame of {size} bytes is over the limit of {self._settings.max_message_bytes}"
        stream.refuse(text)
        connection.deliver(Error(MalformedReason.TOO_LARGE, text, "continue"))

    @staticmethod
    def _leave(connection: Connection, stream: Stream) -> None:
        sent = connection.websocket.protocol.close_sent
        if sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG:
            stream.refuse("sent a message far over the size limit and was disconnected")
        code = connection.websocket.close_code
        ended = connection.close_with is not None
        stream.leave(may_return=not ended and code not in (CloseCode.NORMAL, CloseCode.GOING_AWAY))
