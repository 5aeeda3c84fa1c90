"""Which process of this machine holds the far end of a connection, where that can be known.

Stock clients on one host are told apart by it: both connections of a client are of one process.
Only for processes that this one may look at; elsewhere it is unknown.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from typing import Final, NamedTuple

import psutil
from websockets.asyncio.server import ServerConnection

log = logging.getLogger(__name__)

PATIENCE_S: Final = 2.0
"""A connection whose process is not found by then goes without."""
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Ports(NamedTuple):
    """A connection of this host, by the ports of its ends."""

    client: int
    server: int


class LocalPeers:
    """Looks for the processes behind connections, on one thread.

    One look at the machine's sockets takes some milliseconds, more where there are many processes;
    it answers all who wait when it begins, so that a rush of connections costs little more than
    one.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Ports, asyncio.Future[int | None]]] = []
        self._looking: asyncio.Task[None] | None = None

    async def owner_of(self, websocket: ServerConnection) -> int | None:
        """Process id of a client on this host; None for other clients, and when it is not found.

        A proxy's clients are other clients: what it forwards says so.
        """
        remote, local = websocket.remote_address, websocket.local_address
        if not isinstance(remote, tuple) or not _is_loopback(str(remote[0])):
            return None
        request = websocket.request
        if request is not None and any(name in request.headers for name in FORWARDED):
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.holder_of(Ports(int(remote[1]), int(local[1])))
        except TimeoutError:
            return None

    async def holder_of(self, ports: Ports) -> int | None:
        """The process, other than this one, that has the client's end of a connection."""
        holder: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ports, holder))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await holder

    async def _look(self) -> None:
        while self._waiting:
            asking, self._waiting = self._waiting, []
            holders = await asyncio.to_thread(_holders)
            for ports, holder in asking:
                if not holder.done():  # as it is when nobody waits any more
                    holder.set_result(holders.get(ports))
        self._looking = None


def _holders() -> dict[Ports, int]:
    """The other processes by the connections that they opened."""
    own = os.getpid()
    try:
        connections = psutil.net_connections("tcp")
    except Exception:  # not allowed on this system, or in a form that it does not know
        log.debug("the processes behind connections cannot be told", exc_info=True)
        return {}
    return {
        Ports(one.laddr.port, one.raddr.port): one.pid
        for one in connections
        if one.laddr and one.raddr and one.pid is not None and one.pid != own
    }


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
