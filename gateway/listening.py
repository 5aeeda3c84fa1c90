"""How the WebSocket ports listen: their servers, and the bounds of their connections."""

from __future__ import annotations

import functools
import logging
import resource
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from websockets.asyncio.server import Server, ServerConnection, serve

from common.errors import SettingsError
from common.settings import GatewaySettings
from gateway.audit import AuditLog
from gateway.bounded_connection import Connections
from gateway.budgets import AddressBudgets
from gateway.connection import ConnectionLimit
from gateway.gatekeeper import Gatekeeper
from gateway.handshake import Handshake, Pages, Visitor, pages_of, select_subprotocol
from gateway.metrics import GatewayMetrics
from gateway.tls_door import TlsDoor

log = logging.getLogger(__name__)

Handler = Callable[[ServerConnection], Awaitable[None]]

SPARE_CONNECTIONS: Final = 64
HARD_LIMIT_FACTOR: Final = 4
"""Messages over the limit times this end the connection (1009) without being read whole."""
MAX_CONTROL_BYTES: Final = 64 * 1024
DEAD_PEER_MS: Final = 60_000
"""A data connection ends when its peer has acknowledged nothing sent to it for this long."""
CLOSE_TIMEOUT_S: Final = 2.0
RESERVED_FILES: Final = 128
"""Open files that are kept for links, logs and metrics: ZeroMQ ends the process that has none."""
MOST_FILES: Final = 1 << 20


def make_connections(
    settings: GatewaySettings, metrics: GatewayMetrics, gatekeeper: Gatekeeper, audit: AuditLog
) -> Connections:
    """The registry of both ports' connections: no more than there may be open files."""
    files = _raise_file_limit()
    wanted = 2 * _most_connections(settings) + SPARE_CONNECTIONS
    total = max(1, min(wanted, files - RESERVED_FILES))
    if total < wanted:
        log.warning(
            "at most %d connections instead of %d, for a limit of %d open files",
            total,
            wanted,
            files,
        )
    budgets = AddressBudgets(total, settings, gatekeeper.proxies.is_trusted)
    return Connections(budgets, metrics, settings, audit)


def make_relayed_connections(settings: GatewaySettings, metrics: GatewayMetrics) -> Connections:
    """The registry of what neighbours pass on, who have bounded it by its address already."""
    budgets = AddressBudgets(2 * _most_connections(settings), settings, lambda _: True)
    return Connections(budgets, metrics, settings)


def _raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


async def listen_control(
    settings: GatewaySettings,
    handle: Handler,
    gatekeeper: Gatekeeper,
    connections: Connections,
) -> Server:
    """Serve the control port.

    Raises:
        SettingsError: it cannot be had.
    """
    return await _listen(
        Port("control", settings.control_port),
        settings,
        handle,
        gatekeeper,
        connections,
        max_size=MAX_CONTROL_BYTES,
    )


async def listen_data(
    settings: GatewaySettings,
    handle: Handler,
    gatekeeper: Gatekeeper,
    connections: Connections,
) -> Server:
    """Serve the data port, and the web page on it.

    Raises:
        SettingsError: it cannot be had.
    """
    server = await _listen(
        Port("data", settings.data_port),
        settings,
        handle,
        gatekeeper,
        connections,
        pages=pages_of(settings.control_port, secure=gatekeeper.tls is not None),
        max_size=settings.max_message_bytes * HARD_LIMIT_FACTOR,
        max_queue=1,  # messages that wait while a window is full; each may be of max_size
        # While back-pressure holds a client's audio back, the answers to pings wait behind it.
        # So a peer is known to be dead by its TCP: pings see to it that there is some.
        ping_timeout=None,
    )
    for listening in server.sockets:  # inherited by the connections
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
    return server


class Port(NamedTuple):
    """One of the WebSocket ports."""

    name: str
    number: int


async def _listen(
    port: Port,
    settings: GatewaySettings,
    handle: Handler,
    gatekeeper: Gatekeeper,
    connections: Connections,
    pages: Pages | None = None,
    **options: Any,
) -> Server:
    """Serve a port behind the door that all of them have.

    Args:
        pages: what plain HTTP requests get.
        options: of websockets' server, in which the ports differ.
    """
    limit = ConnectionLimit(_most_connections(settings), connections)
    try:
        return await serve(
            lambda websocket: limit.serve(websocket, handle),
            settings.host,
            port.number,
            reuse_port=settings.share_ports or None,
            create_connection=_visitors(connections, gatekeeper),
            open_timeout=settings.handshake_s,
            close_timeout=CLOSE_TIMEOUT_S,
            server_header=None,
            process_request=Handshake(gatekeeper, pages).process_request,
            select_subprotocol=select_subprotocol,
            # Audio does not compress, deflate costs more than all the rest, and the largest reply,
            # a recording's samples, would hold up everybody.
            compression=None,
            **options,
        )
    except OSError as error:
        raise SettingsError(
            f"cannot listen on the {port.name} port {settings.host}:{port.number}: "
            f"{error.strerror or error}; choose another with --{port.name}_port"
        ) from None


def _most_connections(settings: GatewaySettings) -> int:
    """Of one port: a session's own, one observer or probe each, and some more."""
    return 2 * settings.max_sessions + SPARE_CONNECTIONS


def _visitors(connections: Connections, gatekeeper: Gatekeeper) -> Any:
    """What makes a connection; any callable will do for the library."""
    if gatekeeper.tls is None:
        return functools.partial(Visitor, connections=connections)
    context = gatekeeper.tls.context

    def behind_the_door(*args: Any, **options: Any) -> TlsDoor:
        return TlsDoor(Visitor(*args, connections=connections, **options), context, connections)

    return behind_the_door
