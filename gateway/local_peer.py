"""Where a connection comes from: on this host the process that holds its far end, and its user.

Stock clients on one host are told apart by it: both connections of a client are of one process.
Only for processes that this one may look at; whose the others are the kernel's table of sockets
says.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers

from common.logs import LogBudget
from gateway.connection import peer_of
from gateway.pairing import Origin

log = logging.getLogger(__name__)

PATIENCE_S: Final = 4.0
"""A connection whose process is not found by then goes without."""
REST: Final = 9.0
"""After a look, others wait this many times as long as it took: a rush of connections costs a tenth
of a core, unless a look takes long."""
MOST_REST_S: Final = 1.0
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


class Ports(NamedTuple):
    """A connection of this host, by the ports of its ends."""

    client: int
    server: int


class Holder(NamedTuple):
    """Who has the client's end of a connection; None where that cannot be seen."""

    process: int | None = None
    user: int | None = None


NOBODY: Final = Holder()


class LocalPeers:
    """Looks for the processes behind connections, on one thread.

    One look at the machine's sockets takes some milliseconds, more where there are many processes;
    it answers all who wait when it begins, so that a rush of connections costs little more than
    one.

    Args:
        on_look: called at each look, to count it.
    """

    def __init__(self, on_look: Callable[[], None] = lambda: None) -> None:
        self._on_look = on_look
        self._waiting: list[tuple[Ports, asyncio.Future[Holder]]] = []
        self._looking: asyncio.Task[None] | None = None
        self._lines = LogBudget(1, 1 / 60)

    async def origin_of(self, websocket: ServerConnection) -> Origin:
        """Where a connection comes from.

        A proxy's clients are other clients than the proxy: what it forwards says so.
        """
        address, _ = peer_of(websocket)
        headers = websocket.request.headers if websocket.request is not None else Headers()
        remote, local = websocket.remote_address, websocket.local_address
        is_local = isinstance(remote, tuple) and _is_loopback(str(remote[0]))
        is_proxied = any(name in headers for name in FORWARDED)
        page = _page(",".join(headers.get_all("Origin")), ",".join(headers.get_all("Host")))
        holder = NOBODY
        if is_local and not is_proxied:
            # Who is gone meanwhile takes up a connection's place no longer.
            gone = asyncio.create_task(websocket.wait_closed())
            found = asyncio.create_task(self.holder_of(Ports(int(remote[1]), int(local[1]))))
            try:
                await asyncio.wait(
                    (gone, found), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
                )
                holder = found.result() if found.done() else NOBODY
            finally:
                gone.cancel()
                found.cancel()
        return Origin(address, *holder, page=page, is_local=is_local, is_proxied=is_proxied)

    async def holder_of(self, ports: Ports) -> Holder:
        """The process, other than this one, that has the client's end of a connection."""
        holder: asyncio.Future[Holder] = asyncio.get_running_loop().create_future()
        self._waiting.append((ports, holder))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await holder

    async def _look(self) -> None:
        while self._waiting:
            asking, self._waiting = self._waiting, []
            self._on_look()
            began_s = time.monotonic()
            holders = await self._found()
            took_s = time.monotonic() - began_s
            for ports, holder in asking:
                if not holder.done():  # as it is when nobody waits any more
                    holder.set_result(holders.get(ports, NOBODY))
            await asyncio.sleep(min(REST * took_s, MOST_REST_S))
        self._looking = None

    async def _found(self) -> dict[Ports, Holder]:
        """Who holds the ends of connections; where that cannot be told, all go without."""
        try:
            return await asyncio.to_thread(_holders)
        except Exception:  # no thread is left, or a table has a form that is not known
            if self._lines.allow(time.monotonic()):
                log.warning("the processes behind connections cannot be told", exc_info=True)
            return {}


def _holders() -> dict[Ports, Holder]:
    """Who holds the other ends of this host's connections; this process's own are left out."""
    found = _users()
    own = os.getpid()
    try:
        connections = psutil.net_connections("tcp")
    except Exception:  # not allowed on this system, or in a form that it does not know
        log.debug("the processes behind connections cannot be told", exc_info=True)
        connections = []
    for one in connections:
        if one.laddr and one.raddr and one.pid is not None:
            ports = Ports(one.laddr.port, one.raddr.port)
            if one.pid == own:
                found.pop(ports, None)
            else:
                found[ports] = Holder(one.pid, found.get(ports, NOBODY).user)
    return found


def _users() -> dict[Ports, Holder]:
    """The users behind this host's connections, out of the kernel's table."""
    found: dict[Ports, Holder] = {}
    for table in TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no Linux, or no IPv6
            continue
        for line in lines:
            fields = line.split()
            local, remote = (int(field.rpartition(":")[2], 16) for field in fields[1:3])
            found[Ports(local, remote)] = Holder(user=int(fields[7]))
    return found


def _page(origin: str, host: str) -> str:
    """The page that opened a connection; "" for a program that names this very port as its page.

    RealtimeSTT's client does, by way of websocket-client.
    """
    return "" if origin.lower().partition("://")[2] == host.lower() else origin


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
