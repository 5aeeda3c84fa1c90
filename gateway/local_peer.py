"""Which process of this machine holds the far end of a connection, where that can be known.

Stock clients on one host are told apart by it: both connections of a client are of one process.
Linux only, and only for processes that this one may look at; elsewhere it is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from pathlib import Path
from typing import Final

from websockets.asyncio.server import ServerConnection

MOST_AT_ONCE: Final = 4
"""Two clients that start at the same instant, with two connections each."""
_looking = 0  # only changed on the event loop's thread

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


async def owner_of(websocket: ServerConnection) -> int | None:
    """Process id of a client on this host; None for other clients, and when it is not found.

    Takes some 10 ms of a thread, more where there are many processes: of connections that come at
    once most go without, which then pair in order of arrival.
    """
    global _looking
    remote, local = websocket.remote_address, websocket.local_address
    if not isinstance(remote, tuple) or not _is_loopback(str(remote[0])):
        return None
    if _looking >= MOST_AT_ONCE:
        return None
    _looking += 1
    try:
        return await asyncio.to_thread(holder_of, int(remote[1]), int(local[1]))
    finally:
        _looking -= 1


def holder_of(client_port: int, server_port: int) -> int | None:
    """The process, other than this one, that has the TCP socket between two ports of this host."""
    inode = _inode(client_port, server_port)
    if inode is None:
        return None
    link = f"socket:[{inode}]"
    own = os.getpid()
    names = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    # The latest first: a client that connects now was probably started lately.
    pids = sorted(map(int, names), reverse=True)
    return next((pid for pid in pids if pid != own and _holds(pid, link)), None)


def _inode(client_port: int, server_port: int) -> str | None:
    ends = (f":{client_port:04X}", f":{server_port:04X}")
    for table in TABLES:
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                _, local, remote, *_, inode = line.split(maxsplit=10)[:10]
                if local.endswith(ends[0]) and remote.endswith(ends[1]) and inode != "0":
                    return inode
    return None


def _holds(pid: int, link: str) -> bool:
    with contextlib.suppress(OSError):  # it ended, or is another user's
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(entry.readlink()) == link:
                    return True
    return False


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
