"""Opens the ports for other protocols, and closes them at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

from common.errors import SettingsError
from common.settings import GatewaySettings
from gateway.api_cors import for_pages
from gateway.api_door import Door
from gateway.api_port import ApiPort
from gateway.api_server import listening_socket, make_server
from gateway.bounded_connection import Connections
from gateway.gatekeeper import Gatekeeper
from gateway.metrics import GatewayMetrics
from gateway.reception import Reception
from gateway.wyoming_port import WyomingPort

log = logging.getLogger(__name__)

DEAD_PEER_MS: Final = 60_000
"""A connection ends when its peer has acknowledged nothing sent to it for this long."""
HARD_LIMIT_FACTOR: Final = 4
"""Messages over the limit times this end the connection (1009) without being read whole."""


@contextlib.asynccontextmanager
async def serve_api(
    settings: GatewaySettings,
    metrics: GatewayMetrics,
    reception: Reception,
    engine: Callable[[], str],
    gatekeeper: Gatekeeper,
    connections: Connections,
) -> AsyncIterator[None]:
    """Serve the API port while the context lasts.

    Args:
        engine: says the name of what transcribes; "" while nothing does.

    Raises:
        SettingsError: the port cannot be had.
    """
    host, port = settings.host, settings.api_port
    try:
        listening = listening_socket(host, port, reuse_port=settings.share_ports)
    except OSError as error:
        raise _port_error("api", host, port, error) from None
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
    app = ApiPort(settings, metrics, reception, connections, engine).app
    server = make_server(
        for_pages(Door(app, gatekeeper, connections), settings),
        connections,
        max_message_bytes=settings.max_message_bytes * HARD_LIMIT_FACTOR,
        tls=gatekeeper.tls.context if gatekeeper.tls else None,
    )
    serving = asyncio.create_task(server.serve([listening]), name="api port")
    log.info("api     %s://%s:%d/v1", "https" if gatekeeper.tls else "http", host, port)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def serve_wyoming(
    settings: GatewaySettings,
    metrics: GatewayMetrics,
    reception: Reception,
    engine: Callable[[], str],
    gatekeeper: Gatekeeper,
    connections: Connections,
) -> AsyncIterator[None]:
    """Serve Wyoming while the context lasts.

    Raises:
        SettingsError: the port cannot be had, or is not as safe as the others are meant to be.
    """
    if gatekeeper.asks_for_keys or gatekeeper.tls is not None:
        raise SettingsError(
            "Wyoming knows neither keys nor TLS: --wyoming-port does not go with --api-keys or "
            "--tls-cert"
        )
    port = WyomingPort(settings, metrics, reception, engine, connections)
    try:
        server = await port.listen()
    except OSError as error:
        raise _port_error("wyoming", settings.host, settings.wyoming_port, error) from None
    log.info("wyoming tcp://%s:%d", settings.host, settings.wyoming_port)
    try:
        yield
    finally:
        server.close()


def _port_error(name: str, host: str, port: int, error: OSError) -> SettingsError:
    return SettingsError(
        f"cannot listen on the {name} port {host}:{port}: {error.strerror or error}; "
        f"choose another with --{name}-port"
    )
