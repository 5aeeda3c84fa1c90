"""WebSocket connections whose clients cannot make the gateway do or keep more than their share.

The library bounds messages; what it answers or keeps by itself (pongs, fragments, half a handshake)
is bounded here, at the methods that asyncio and :class:`ServerConnection` document for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple, Protocol, cast

from websockets.asyncio.server import ServerConnection
from websockets.frames import OP_BINARY, OP_CLOSE, OP_CONT, OP_TEXT, Frame
from websockets.protocol import Event

from common.errors import CloseCode
from common.limit_settings import LimitSettings
from common.logs import LogBudget
from gateway.audit import AuditLog
from gateway.budgets import AddressBudgets, FrameBudget, Met
from gateway.led_connection import LedConnection
from gateway.metrics import GatewayMetrics
from gateway.retention import Account

log = logging.getLogger(__name__)

PIECE_BYTES: Final = 16 * 1024
"""Bytes that are parsed before it is looked at what they were."""
LAST_WORDS_S: Final = 2.0
"""A connection that was ended here is cut after this long, whether or not its peer has listened."""
SWEEP_S: Final = 1.0
RETRY_AFTER_S: Final = 5
TOLD_AT_ONCE: Final = 32
"""Connections of TLS ports that met a bound and that TLS is spoken with all the same, to say so;
others are cut."""


def far_end(remote: Any) -> tuple[str, str]:
    """A connection's other end: its address alone, and with its port as log lines have it."""
    if not isinstance(remote, tuple):
        return "local", "local"
    host = str(remote[0])
    return host, f"[{host}]:{remote[1]}" if ":" in host else f"{host}:{remote[1]}"


def via(client: str, remote: Any) -> str:
    """As log lines have a client whose proxy is at the connection's other end."""
    return f"{client} via {far_end(remote)[1]}"


class Watched(Protocol):
    """A connection that may be cut for what it holds."""

    @property
    def held_bytes(self) -> int:
        """What has arrived and was not taken by its handler yet."""

    def cut(self, met: Met) -> None:
        """End the connection, saying why."""


class Knock(NamedTuple):
    """A connection of a TLS port before TLS is spoken on it.

    Attributes:
        met: the bound that keeps it out; None: it is let in.
        goes_on: whether TLS is spoken: with those that are let in, and with some that are not, so
            that they can be told why.
    """

    address: str
    met: Met | None
    goes_on: bool


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
        self._watched: set[Watched] = set()
        self._lines = LogBudget(10, 0.5)
        self._shaking: set[asyncio.Task[None]] = set()
        self._told = 0

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: BoundedConnection, address: str) -> Met | None:
        """A connection is made; None if it may stay."""
        met = self._budgets.enter(address, time.monotonic(), shakes_hands=True)
        if met is None:
            self._open.add(connection)
        return met

    def is_many(self, address: str) -> bool:
        """Whether an address stands for many clients."""
        return self._budgets.is_many(address)

    def knock(self, address: str, peer: str) -> Knock:
        """A connection of a TLS port is made, which shakes hands before anything can be said."""
        met = self._budgets.enter(address, time.monotonic(), shakes_hands=True)
        if met is None:
            return Knock(address, None, goes_on=True)
        self.met(peer, met)
        goes_on = self._told < TOLD_AT_ONCE
        self._told += goes_on
        return Knock(address, met, goes_on)

    def shakes(self, handshake: Coroutine[Any, Any, None]) -> None:
        """A handshake of TLS is under way; it is given up when all are cut."""
        task = asyncio.get_running_loop().create_task(handshake)
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    def opened(self, connection: BoundedConnection, knock: Knock) -> Met | None:
        """TLS is spoken on a connection that knocked; None if it may stay."""
        if knock.met is None:
            self._open.add(connection)
        else:
            self._told -= 1
        return knock.met

    def opened_elsewhere(self, knock: Knock) -> Met | None:
        """The same for a port that has another server."""
        if knock.met is None:
            self.shook_hands(knock.address)
        else:
            self._told -= 1
        return knock.met

    def gave_up(self, knock: Knock) -> None:
        """TLS was not spoken on a connection that knocked."""
        if self.opened_elsewhere(knock) is None:
            self._budgets.leave(knock.address)

    def shook_hands(self, address: str) -> None:
        """The handshake of one that might stay has ended."""
        self._budgets.shook_hands(address)

    def leave(self, connection: BoundedConnection, address: str) -> None:
        """One that might stay is gone."""
        self._open.discard(connection)
        self._budgets.leave(address)

    def enter_elsewhere(self, address: str, peer: str) -> Met | None:
        """A connection of a port that has another server is made; None if it may stay."""
        met = self._budgets.enter(address, time.monotonic())
        if met is not None:
            self.met(peer, met)
        return met

    def leave_elsewhere(self, address: str) -> None:
        """One that might stay is gone."""
        self._budgets.leave(address)

    def enter_behind(self, address: str, peer: str) -> Met | None:
        """A trusted proxy passes on a client's connection or request; None if it may."""
        met = self._budgets.enter_behind(address, time.monotonic())
        if met is not None:
            self.met(peer, met)
        return met

    def leave_behind(self, address: str) -> None:
        """What a proxy passed on has ended."""
        self._budgets.leave_behind(address)

    def watch(self, connection: Watched) -> None:
        """A connection of another server holds what arrives, until it is gone."""
        self._watched.add(connection)

    def unwatch(self, connection: Watched) -> None:
        """It is gone."""
        self._watched.discard(connection)

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
        all_of_them: list[Watched] = [*self._open, *self._watched]
        held = {connection: connection.held_bytes for connection in all_of_them}
        total = sum(held.values())
        for connection in sorted(held, key=lambda c: held[c], reverse=True):
            if total <= most_bytes:
                break
            total -= held[connection]
            held[connection] = 0
            connection.cut(Met("memory", "more is waiting for this client than there is room for"))
        for connection, held_bytes in held.items():
            if isinstance(connection, BoundedConnection) and connection.account is not None:
                connection.account.waiting_bytes = held_bytes
        return total

    def abort(self) -> None:
        """Cut all that are left."""
        for connection in list(self._open):
            connection.transport.abort()
        for handshake in list(self._shaking):
            handshake.cancel()


class BoundedConnection(LedConnection):
    """One of them.

    Args:
        connections: where it is counted.

    Attributes:
        account: of the session whose audio arrives here, which answers for what waits; or None.
        knock: what became of it before TLS was spoken; None on a port without TLS.
    """

    knock: Knock | None = None

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.account: Account | None = None
        self._connections = connections
        self._budget = FrameBudget(connections.limits, time.monotonic())
        self._address = ""
        self._behind = ""
        self._is_gone = False
        self._shakes_hands = False
        self._is_over = False
        self._was_refused = False
        self._handshake_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What has arrived and was not taken by its handler yet."""
        return self.waiting_bytes + len(self.protocol.reader.buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a connection in, or answer why not; then no handshake begins."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._address, peer = far_end(self.remote_address)
        if self.knock is not None:
            met = self._connections.opened(self, self.knock)
        else:
            met = self._connections.enter(self, self._address)
            if met is not None:
                self._connections.met(peer, met)
        if met is None:
            self._shakes_hands = True
            super().connection_made(transport)
            return
        self._was_refused = True
        super(ServerConnection, self).connection_made(transport)
        self._answer(*answer_to(met))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        if self.account is not None:
            self.account.waiting_bytes = 0
        self._is_gone = True
        self._shook_hands()
        if self._behind:
            self._connections.leave_behind(self._behind)
        if not self._was_refused:
            self._connections.leave(self, self._address)

    def enter_behind(self, client: str) -> Met | None:
        """It is a trusted proxy's, for this client, who has a budget of its own."""
        if self._is_gone:  # before its request was looked at
            return None
        met = self._connections.enter_behind(client, via(client, self.remote_address))
        if met is None:
            self._behind = client
        return met

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
        say_and_close(self.transport, status, text, self.loop)


def answer_to(met: Met) -> tuple[str, str]:
    """Status and text of the HTTP answer to one that met a bound before anything was read."""
    busy = met.bound == "connections"
    return "503 Service Unavailable" if busy else "429 Too Many Requests", met.text


def say_and_close(
    transport: asyncio.WriteTransport, status: str, text: str, loop: asyncio.AbstractEventLoop
) -> None:
    """Write a whole HTTP answer and close, whether or not the peer reads it."""
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {RETRY_AFTER_S}\r\n"
        "Connection: close\r\n\r\n"
    )
    transport.write(head.encode() + body)
    transport.close()
    loop.call_later(LAST_WORDS_S, transport.abort)
