"""Several gateways on the same ports: each connection is served by the one that it belongs to."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, unix_serve

from gateway.bounded_connection import Connections
from gateway.gatekeeper import Gatekeeper
from gateway.handshake import Handshake, asked_of, select_subprotocol
from gateway.local_peer import LocalPeers
from gateway.metrics import GatewayMetrics, Relayed
from gateway.neighbours import Neighbours
from gateway.relay import PORT, RelayedVisitor, relay

Handler = Callable[[ServerConnection], Awaitable[None]]

DATA: Final = "data"
CONTROL: Final = "control"


class SharedPorts:
    """Passes on what belongs to a neighbour, and takes what they pass on.

    Args:
        handlers: what serves a connection here, by the name of its port.
    """

    def __init__(
        self,
        neighbours: Neighbours,
        own: int,
        peers: LocalPeers,
        handlers: dict[str, Handler],
        metrics: GatewayMetrics,
    ) -> None:
        self._neighbours = neighbours
        self._own = own
        self._peers = peers
        self._handlers = handlers
        self._metrics = metrics

    def routed(self, port: str) -> Handler:
        """What serves a connection of that port, here or elsewhere."""
        handle = self._handlers[port]

        async def serve(websocket: ServerConnection) -> None:
            home = await self._home_of(websocket, port)
            to = self._neighbours.path_of(home)
            if home != self._own and await relay(websocket, to, port, self._metrics):
                return
            await handle(websocket)

        return serve

    async def _home_of(self, websocket: ServerConnection, port: str) -> int:
        query, _ = asked_of(websocket)
        key = query.observe or query.session
        if key or query.events:
            return self._neighbours.home_of(key, None)
        return self._neighbours.home_of("", await self._peers.origin_of(websocket))

    @contextlib.asynccontextmanager
    async def taking_in(
        self, gatekeeper: Gatekeeper, connections: Connections, max_size: int
    ) -> AsyncIterator[None]:
        """Serve what the neighbours pass on, while the context lasts."""
        path = self._neighbours.path_of(self._own)
        path.unlink(missing_ok=True)  # of one that was killed
        old_mask = os.umask(0o177)
        try:
            server = await unix_serve(
                self._take_in,
                str(path),
                create_connection=_visitors(connections),
                process_request=Handshake(gatekeeper).process_request,
                select_subprotocol=select_subprotocol,
                max_size=max_size,
                max_queue=1,
                server_header=None,
                compression=None,
                ping_interval=None,
            )
        finally:
            os.umask(old_mask)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            server.close()
            await server.wait_closed()

    async def _take_in(self, websocket: ServerConnection) -> None:
        port = websocket.request.headers.get(PORT, "") if websocket.request else ""
        handle = self._handlers.get(port)
        if handle is not None:
            self._metrics.relayed.labels(port, Relayed.TAKEN_IN).inc()
            await handle(websocket)


def _visitors(connections: Connections) -> Any:
    """What makes a connection; any callable will do for the library."""
    return functools.partial(RelayedVisitor, connections=connections)
