"""Passes a connection on to the gateway that it belongs to, message by message.

The other gateway sees the client's own request, and where it came from, so that it decides about
it as if it had come there at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from pathlib import Path
from typing import Final

from prometheus_client import Counter
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from gateway.handshake import Visitor
from gateway.metrics import GatewayMetrics, Relayed

log = logging.getLogger(__name__)

ADDRESSES: Final = "Stt-Addresses"
"""Header of a connection that is passed on: both ends of the client's, as JSON."""
PORT: Final = "Stt-Port"
"""Header: which port the client connected to."""
OPEN_TIMEOUT_S: Final = 5.0
_HANDSHAKE: Final = ("connection", "upgrade", "host", "content-length")
_NOT_THE_CLIENTS: Final = ("sec-websocket-", "stt-")


class RelayedVisitor(Visitor):
    """A connection that another gateway of this host passed on."""

    @property
    def remote_address(self) -> object:
        """The client's address."""
        return self._addresses()[0]

    @property
    def local_address(self) -> object:
        """The address that the client connected to."""
        return self._addresses()[1]

    def _addresses(self) -> tuple[object, object]:
        """Both ends of the client's connection; nothing is known before the request is read."""
        if self.request is None:
            return "", ""
        try:
            remote, local = json.loads(self.request.headers[ADDRESSES])
        except (LookupError, ValueError):
            return "", ""
        return tuple(remote), tuple(local)


async def relay(websocket: ServerConnection, to: Path, port: str, metrics: GatewayMetrics) -> bool:
    """Carry a connection's messages to another gateway and back until either end closes.

    Args:
        to: that gateway's Unix socket.
        port: ``data`` or ``control``.

    Returns:
        False when nobody answers there: the connection is the caller's to serve.
    """
    request = websocket.request
    if request is None:
        return False
    headers = [
        (name, value)
        for name, value in request.headers.raw_items()
        if name.lower() not in _HANDSHAKE and not name.lower().startswith(_NOT_THE_CLIENTS)
    ]
    addresses = json.dumps([websocket.remote_address, websocket.local_address])
    offered = ", ".join(request.headers.get_all("Sec-WebSocket-Protocol"))
    try:
        onward = await unix_connect(
            str(to),
            f"ws://{request.headers.get('Host', 'localhost')}{request.path}",
            additional_headers=[*headers, (ADDRESSES, addresses), (PORT, port)],
            subprotocols=[Subprotocol(each.strip()) for each in offered.split(",") if each.strip()]
            or None,
            user_agent_header=None,
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=OPEN_TIMEOUT_S,
            proxy=None,
        )
    except (OSError, TimeoutError, InvalidHandshake) as error:
        log.debug("a neighbour does not take a connection: %s", error)
        return False
    metrics.relayed.labels(port, Relayed.PASSED_ON).inc()
    size = metrics.relayed_bytes
    async with asyncio.TaskGroup() as group:
        group.create_task(_pump(websocket, onward, size.labels("from_client")))
        group.create_task(_pump(onward, websocket, size.labels("to_client")))
    return True


async def _pump(
    source: ServerConnection | ClientConnection,
    sink: ServerConnection | ClientConnection,
    size: Counter,
) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            await sink.send(message)
            size.inc(len(message if isinstance(message, bytes) else message.encode()))
    code, reason = source.close_code or 1006, source.close_reason or ""
    if code in (1005, 1006, 1015):  # a gateway that died: what a client comes back after
        await sink.close(1012, "the gateway is gone")
    else:
        await sink.close(code, reason)
