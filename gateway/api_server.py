"""uvicorn within the gateway's loop, with the bounds that it lacks.

A connection that begins no request in time is closed; a WebSocket that sends fragments without end,
or pings and does not read the answers, is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from common.errors import CloseCode
from common.logs import LogBudget
from gateway.api_connection import ABORT
from gateway.bounded_connection import (
    LAST_WORDS_S,
    Connections,
    Knock,
    answer_to,
    far_end,
    say_and_close,
)
from gateway.budgets import FrameBudget, Met
from gateway.small_chunks import ChunkCounter, SmallChunksError
from gateway.tls_door import TlsDoor

REQUEST_S: Final = 10.0
"""A request has begun so long after its first byte, the first one after the connection."""
MAX_HEADER_BYTES: Final = 32 * 1024
NOT_TEXT: Final = "Invalid UTF-8"
"""So begins uvicorn's line for a message of a client's that is no text: no fault of ours."""
STOP_S: Final = 2
"""Requests that still run when the server stops get so long."""


class ApiHttp(H11Protocol):
    """An HTTP connection that is let in, and whose requests have to come in time."""

    registry: Connections
    knock: Knock | None = None
    _deadline: asyncio.TimerHandle | None = None
    _entered = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected; a connection too many is closed."""
        super().connection_made(transport)
        address, peer = far_end(transport.get_extra_info("peername"))
        if self.knock is not None:
            met = self.registry.opened_elsewhere(self.knock)
        else:
            met = self.registry.enter_elsewhere(address, peer)
        if met is not None:
            say_and_close(transport, *answer_to(met), self.loop)
            return
        self._entered, self._peer = address, peer
        self.conn = ChunkCounter(self.registry.limits, MAX_HEADER_BYTES)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone (one that became a WebSocket has another to tell)."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._entered:
            self.registry.leave_elsewhere(self._entered)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, until a bound is met."""
        cycle: Any = self.cycle  # of the last request; None before there was one
        if cycle is not None and cycle.response_complete and self.scope is not self._last:
            self._await_request()  # of which this is a part, or what nobody wants to read
        try:
            super().data_received(data)
        except SmallChunksError as error:
            (met,) = error.args
            self.registry.met(self._peer, met)
            if cycle is not None and cycle.response_started and not cycle.response_complete:
                self.transport.abort()
            else:
                say_and_close(self.transport, "400 Bad Request", met.text, self.loop)

    def _await_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._last: object = self.scope
        self._deadline = self.loop.call_later(REQUEST_S, self._give_up)

    def _give_up(self) -> None:
        if self.scope is self._last and not self.transport.is_closing():
            self.transport.close()


class ApiWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket connection whose control frames and fragments are bounded."""

    registry: Connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """An HTTP connection that was let in becomes this one."""
        super().connection_made(transport)
        self._address, self._peer = far_end(transport.get_extra_info("peername"))
        self._budget = FrameBudget(self.registry.limits, time.monotonic())
        self.registry.watch(self)

    @property
    def held_bytes(self) -> int:
        """What has arrived of a message that is not whole; whole ones are one or two."""
        return sum(map(len, self.frames)) + len(self.conn.reader.buffer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.registry.unwatch(self)
        self.registry.leave_elsewhere(self._address)
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        """A handshake came; what handles it is given the means to cut the connection."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][ABORT] = self.transport.abort

    def handle_cont(self, event: Frame) -> None:
        """A fragment came."""
        if not self._cut(self._budget.fragment(is_last=event.fin)):
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """A ping came, and its answer is to be sent."""
        if not self._cut(self._budget.control_frame(time.monotonic())):
            super().handle_ping()

    def _cut(self, met: Met | None) -> bool:
        """End the connection if a bound was met, or was before."""
        if met is not None and not self.close_sent:
            self.cut(met)
        return met is not None or self.close_sent

    def cut(self, met: Met) -> None:
        """End the connection: a close frame says why, if its peer cares to read it."""
        self.frames = []
        self.registry.met(self._peer, met)
        self.conn.fail(CloseCode.POLICY_VIOLATION, met.text)
        self.handle_parser_exception()
        self.loop.call_later(LAST_WORDS_S, self.transport.abort)


class _Budgeted(logging.Filter):
    """What clients can have the server log at will is bounded; its own faults are all logged."""

    def __init__(self) -> None:
        super().__init__()
        self._budget = LogBudget(10, 0.5)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        if record.levelno >= logging.ERROR and not record.getMessage().startswith(NOT_TEXT):
            return True
        record.exc_info = None
        return self._budget.allow(time.monotonic())


class ApiServer(uvicorn.Server):
    """The server; signals are the gateway's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def make_server(
    app: ASGIApp,
    connections: Connections,
    *,
    max_message_bytes: int,
    tls: ssl.SSLContext | None,
) -> ApiServer:
    """A server that is told its sockets when it serves.

    Args:
        connections: where its own are counted, and bounded: a bound of the server's own would be
            used up by one address, which has half of all.
    """
    counted = {"registry": connections}
    http = type("CountedHttp", (ApiHttp,), counted)

    def behind_the_door(**options: Any) -> TlsDoor:
        assert tls is not None
        return TlsDoor(http(**options), tls, connections)

    of_a_connection: Any = http if tls is None else behind_the_door
    config = uvicorn.Config(
        app,
        loop="none",
        http=of_a_connection,
        ws=type("CountedWebSocket", (ApiWebSocket,), counted),
        ws_max_size=max_message_bytes,
        ws_ping_timeout=None,  # back-pressure holds the answers back, as on the data port
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",  # or it would log addresses with all that their query holds
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    lines = logging.getLogger("uvicorn.error")
    if not lines.filters:
        lines.addFilter(_Budgeted())
    return ApiServer(config)


def listening_socket(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A socket to serve on.

    Raises:
        OSError: the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        listening.listen(socket.SOMAXCONN)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
