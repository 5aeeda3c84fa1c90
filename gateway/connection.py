"""One WebSocket connection's writer: sends what its outbox holds, and closes it when told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common.errors import CloseCode
from gateway.bounded_connection import Connections, far_end, via
from gateway.handshake import Visitor
from gateway.inlet import Inlet
from gateway.led_connection import LedConnection
from gateway.metrics import GatewayMetrics
from gateway.outbox import AsyncOutbox, Queued
from gateway.places import port_places
from gateway.protocols.realtimestt import written

log = logging.getLogger(__name__)

MAX_REASON_BYTES: Final = 123
STUCK_S: Final = 5.0
"""A connection that is to close and on which no event leaves for this long is cut."""


class ConnectionLimit:
    """Bounds how many connections one port has at once, whatever they are for, and of whom.

    Args:
        most: connections; more than sessions, since observers and probes come beside them.
        connections: where it is counted and logged who was refused.
    """

    def __init__(self, most: int, connections: Connections) -> None:
        self._places = port_places(most)
        self._connections = connections

    async def serve(
        self, websocket: ServerConnection, handle: Callable[[ServerConnection], Awaitable[None]]
    ) -> None:
        """Handle a connection, or close it with 1013 when there are too many."""
        address, peer = peer_of(websocket)
        met = self._places.take(address, is_many=self._connections.is_many(address))
        if met is not None:
            self._connections.met(peer, met)
            await websocket.close(CloseCode.TRY_AGAIN_LATER, met.text)
            return
        try:
            await handle(websocket)
        finally:
            self._places.give_back(address)


def peer_of(websocket: ServerConnection) -> tuple[str, str]:
    """A client's address alone, and as log lines name it: with its port, or with its proxy's."""
    remote = websocket.remote_address
    if isinstance(websocket, Visitor) and websocket.behind_proxy:
        return websocket.behind_proxy, via(websocket.behind_proxy, remote)
    return far_end(remote)


def close_reason(text: str) -> str:
    """As much of a text as fits into a close frame, which may quote what a client sent."""
    return text.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")


class Connection:
    """A data connection that events are sent on.

    Attributes:
        close_with: code and reason with which the connection is closed once its outbox is empty.
    """

    def __init__(
        self, websocket: ServerConnection, *, queue_limit: int, metrics: GatewayMetrics
    ) -> None:
        self.websocket = websocket
        self.address, self.peer = peer_of(websocket)
        self.outbox = AsyncOutbox(queue_limit)
        self.close_with: tuple[CloseCode, str] | None = None
        self._metrics = metrics
        self._sent = 0
        self._writer = asyncio.create_task(self._write(), name=f"writer {self.peer}")
        self._progress = asyncio.Event()
        self._is_awaited = False
        self._inlet: Inlet | None = None
        # A reader that waits for room must hear that its connection was closed meanwhile.
        self._closed = asyncio.create_task(websocket.wait_closed(), name=f"close {self.peer}")
        self._closed.add_done_callback(lambda _: self._progress.set())

    @property
    def is_closed(self) -> bool:
        """Whether the connection is no more."""
        return self._closed.done()

    def deliver(self, event: Queued) -> None:
        """Queue an event for this client."""
        if self.outbox.closed:
            return
        self.outbox.put(event)
        if self.outbox.overflow:
            self._metrics.slow_clients.inc()
            log.warning("client %s does not read: %s", self.peer, self.outbox.overflow)
            self.end(CloseCode.POLICY_VIOLATION, "client does not read its results")

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection after what is queued was sent (after an overflow: at once)."""
        if self.close_with is None:
            self.close_with = (code, close_reason(reason))
            self._abort_when_stuck()
        self.outbox.close()

    def progress(self) -> None:
        """Let a reader that waits look again."""
        if self._is_awaited:
            self._progress.set()
        if self._inlet is not None:
            self._inlet.progress()

    @contextlib.contextmanager
    def leading_to(
        self, must_wait: Callable[[], bool], take: Callable[[bytes], bool]
    ) -> Iterator[None]:
        """Whole frames go straight into a session meanwhile: see :class:`gateway.inlet.Inlet`."""
        websocket = self.websocket
        if not isinstance(websocket, LedConnection):
            yield
            return
        self._inlet = Inlet(websocket, must_wait, take, self._metrics)
        websocket.lead_to(self._inlet)
        try:
            yield
        finally:
            self._inlet = None
            websocket.lead_to(None)

    async def next_progress(self) -> None:
        """Wait until :meth:`progress` is called, or the connection closes."""
        self._progress.clear()
        self._is_awaited = True
        if not self.is_closed:
            await self._progress.wait()
        self._is_awaited = False

    async def finished(self) -> None:
        """Wait until the writer ended, which closes the connection."""
        self.outbox.close()
        await self._writer

    async def _write(self) -> None:
        try:
            while (event := await self.outbox.take()) is not None:
                await self.websocket.send(written(event))
                self._sent += 1
            if self.close_with is not None:
                await self.websocket.close(*self.close_with)
        except ConnectionClosed:
            self.outbox.close()

    def _abort_when_stuck(self) -> None:
        """Cut the connection of a client that reads nothing, for it cannot even be told to go."""
        sent = self._sent

        def check() -> None:
            if self._writer.done():
                return
            if self._sent == sent:
                self.websocket.transport.abort()
            else:
                self._abort_when_stuck()

        asyncio.get_running_loop().call_later(STUCK_S, check)
