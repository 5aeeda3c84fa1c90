"""WebSocket connections whose clients cannot make the gateway do or keep more than their share.

The library bounds messages; what it answers or keeps by itself (pongs, fragments, half a handshake)
is bounded here, at the methods that asyncio and :class:`ServerConnection` document for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final, cast

from websockets.asyncio.server import ServerConnection
from websockets.frames import OP_BINARY, OP_CLOSE, OP_CONT, OP_TEXT, Frame
from websockets.protocol import Event

from common.errors import CloseCode
from common.limit_settings import LimitSettings
from common.logs import LogBudget
from gateway.audit import AuditLog
from gateway.budgets import AddressBudgets, FrameBudget, Met
from gateway.metrics import GatewayMetrics
from gateway.retention import Account

log = logging.getLogger(__name__)

PIECE_BYTES: Final = 16 * 1024
"""Bytes that are parsed before it is looked at what they were."""
LAST_WORDS_S: Final = 2.0
"""A connection that was ended here is cut after this long, whether or not its peer has listened."""
SWEEP_S: Final = 1.0


def far_end(remote: Any) -> tuple[str, str]:
    """A connection's other end: its address alone, and with its port as log lines have it."""
    if not isinstance(remote, tuple):
        return "local", "local"
    host = str(remote[0])
    return host, f"[{host}]:{remote[1]}" if ":" in host else f"{host}:{remote[1]}"


class Connections:
    """All connections of the WebSocket ports, and how many other ports have.

    Args:
        budgets: of their addresses.
        limits: of each.
        audit: where bounds that are met are told of.
    """

    def __init__(
        self,
        budgets: AddressBudgets,
        metrics: GatewayMetrics,
        limits: LimitSettings,
        audit: AuditLog | None = None,
    ) -> None:
        self.limits: Final = limits
        self._budgets = budgets
        self._audit = audit or AuditLog("", 0, 0)
        self._metrics = metrics
        self._open: set[BoundedConnection] = set()
        self._lines = LogBudget(10, 0.5)

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: BoundedConnection, address: str) -> Met | None:
        """A connection is made; None if it may stay."""
        met = self._budgets.enter(address, time.monotonic(), shakes_hands=True)
        if met is None:
            self._open.add(connection)
        return met

    def shook_hands(self, address: str) -> None:
        """The handshake of one that might stay has ended."""
        self._budgets.shook_hands(address)

    def leave(self, connection: BoundedConnection, address: str) -> None:
        """One that might stay is gone."""
        self._open.discard(connection)
        self._budgets.leave(address)

    def enter_elsewhere(self, address: str, peer: str) -> bool:
        """A connection of a port that has another server is made; whether it may stay."""
        met = self._budgets.enter(address, time.monotonic())
        if met is not None:
            self.met(peer, met)
        return met is None

    def leave_elsewhere(self, address: str) -> None:
        """One that might stay is gone."""
        self._budgets.leave(address)

    def met(self, peer: str, met: Met) -> None:
        """Count and log that a client met one of its bounds."""
        self._metrics.limits_met.labels(met.bound).inc()
        self._audit.write("limit_hit", client=peer, limit=met.bound, why=met.text)
        now_s = time.monotonic()
        if self._lines.allow(now_s):
            others = self._lines.take_suppressed()
            more = f" ({others} more such lines were left out)" if others else ""
            log.warning("client %s is cut off: %s%s", peer, met.text, more)

    def sweep(self, most_bytes: int) -> int:
        """Now and then: forget idle addresses; cut who holds most, if all hold too much.

        Args:
            most_bytes: what the connections' buffers may take together.

        Returns:
            What they take.
        """
        self._budgets.forget(time.monotonic())
        held = {connection: connection.held_bytes for connection in self._open}
        total = sum(held.values())
        for connection in sorted(held, key=lambda c: held[c], reverse=True):
            if total <= most_bytes:
                break
            total -= held[connection]
            held[connection] = 0
            connection.cut(Met("memory", "more is waiting for this client than there is room for"))
        for connection, held_bytes in held.items():
            if connection.account is not None:
                connection.account.waiting_bytes = held_bytes
        return total

    def abort(self) -> None:
        """Cut all that are left."""
        for connection in list(self._open):
            connection.transport.abort()


class BoundedConnection(ServerConnection):
    """One of them.

    Args:
        connections: where it is counted.

    Attributes:
        account: of the session whose audio arrives here, which answers for what waits; or None.
    """

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.account: Account | None = None
        self._connections = connections
        self._budget = FrameBudget(connections.limits, time.monotonic())
        self._address = ""
        self._shakes_hands = False
        self._is_over = False
        self._was_refused = False
        self._handshake_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What has arrived and was not taken by its handler yet."""
        waiting: int = sum(len(frame.data) for frame in self.recv_messages.frames.queue)
        return waiting + len(self.protocol.reader.buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a connection in, or answer why not; then no handshake begins."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._address, peer = far_end(self.remote_address)
        met = self._connections.enter(self, self._address)
        if met is None:
            self._shakes_hands = True
            super().connection_made(transport)
            return
        self._was_refused = True
        super(ServerConnection, self).connection_made(transport)
        self._connections.met(peer, met)
        busy = met.bound == "connections"
        self._answer("503 Service Unavailable" if busy else "429 Too Many Requests", met.text)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        if self.account is not None:
            self.account.waiting_bytes = 0
        self._shook_hands()
        if not self._was_refused:
            self._connections.leave(self, self._address)

    async def handshake(self, *args: Any, **options: Any) -> None:
        """The opening handshake, which counts as one under way until it ends."""
        try:
            await super().handshake(*args, **options)
        finally:
            self._shook_hands()

    def _shook_hands(self) -> None:
        if self._shakes_hands:
            self._shakes_hands = False
            self._connections.shook_hands(self._address)

    def data_received(self, data: bytes) -> None:
        """Parse what came, a piece at a time, until a bound is met."""
        if self._is_over:
            return
        if self.request is None:
            self._handshake_bytes += len(data)
            most = self._connections.limits.handshake_bytes
            if self._handshake_bytes > most:
                text = f"a request of more than {most} bytes"
                self._connections.met(far_end(self.remote_address)[1], Met("handshake_bytes", text))
                self._answer("431 Request Header Fields Too Large", text)
                return
        if len(data) <= PIECE_BYTES:
            super().data_received(data)
            return
        for start in range(0, len(data), PIECE_BYTES):
            if not self._may_go_on():
                return
            super().data_received(data[start : start + PIECE_BYTES])

    def _may_go_on(self) -> bool:
        return not self._is_over

    def process_event(self, event: Event) -> None:
        """Count what a frame costs that is no whole message."""
        if isinstance(event, Frame) and not self._is_over:
            opcode = event.opcode
            met = None
            if opcode is OP_BINARY or opcode is OP_TEXT or opcode is OP_CONT:
                if opcode is OP_CONT or not event.fin:
                    met = self._budget.fragment(is_last=event.fin)
            elif opcode is not OP_CLOSE:
                met = self._budget.control_frame(time.monotonic())
            if met is not None:
                self.cut(met)
                return
        super().process_event(event)

    def cut(self, met: Met) -> None:
        """End the connection: a close frame says why, if its peer cares to read it."""
        if self._is_over:
            return
        self._is_over = True
        self._connections.met(far_end(self.remote_address)[1], met)
        self.protocol.fail(CloseCode.POLICY_VIOLATION, met.text)
        self.send_data()
        self.loop.call_later(LAST_WORDS_S, self.transport.abort)

    def _answer(self, status: str, text: str) -> None:
        """An HTTP answer, before there is a WebSocket; then the end."""
        self._is_over = True
        body = f"{text}\n".encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        self.loop.call_later(LAST_WORDS_S, self.transport.abort)
