"""uvicorn within the gateway's loop, with the bounds that it lacks.

A connection that begins no request in time is closed; a WebSocket that sends fragments without end,
or pings and does not read the answers, is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from gateway.api_connection import ABORT

FIRST_REQUEST_S: Final = 10.0
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_FRAGMENTS: Final = 1_024
MAX_UNREAD_BYTES: Final = 256 * 1024
PROTOCOL_ERROR: Final = 1002
STOP_S: Final = 2
"""Requests that still run when the server stops get so long."""


class ApiHttp(H11Protocol):
    """An HTTP connection whose first request has to come in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(FIRST_REQUEST_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        begun: object = self.scope
        if begun is None and not self.transport.is_closing():
            self.transport.close()


class ApiWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket connection whose control frames and fragments are bounded."""

    def handle_connect(self, event: Request) -> None:
        """A handshake came; what handles it is given the means to cut the connection."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][ABORT] = self.transport.abort

    def handle_cont(self, event: Frame) -> None:
        """A fragment came."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(PROTOCOL_ERROR, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """A ping came, and its answer is to be sent."""
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()
            return
        super().handle_ping()


class ApiServer(uvicorn.Server):
    """The server; signals are the gateway's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def make_server(
    app: ASGIApp, *, max_message_bytes: int, most_connections: int, tls: ssl.SSLContext | None
) -> ApiServer:
    """A server that is told its sockets when it serves."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=ApiHttp,
        ws=ApiWebSocket,
        ws_max_size=max_message_bytes,
        ws_ping_timeout=None,  # back-pressure holds the answers back, as on the data port
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",  # or it would log addresses with all that their query holds
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=most_connections,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ssl_context_factory=None if tls is None else (lambda _config, _default: tls),
    )
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
