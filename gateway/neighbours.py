"""Which of several gateways on one host serves a connection.

The kernel deals connections out over all gateways that share a port, as it likes. What belongs
together must meet: whoever names a session is served where that is, and the two connections of a
client that names none are served where their common origin says. Holds no socket.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.envelope import SESSION_ID_BYTES
from gateway.pairing import Origin

SOCKET_NAME: Final = "relay-{}.sock"


class Neighbours:
    """The gateways that share this one's ports and run dir, by their numbers.

    Args:
        own: number of this gateway.
    """

    def __init__(self, folder: Path, own: int) -> None:
        self._folder = folder
        self._own = own

    def path_of(self, slot: int) -> Path:
        """The Unix socket on which a gateway takes what the others pass on."""
        return self._folder / SOCKET_NAME.format(slot)

    def slots(self) -> list[int]:
        """The numbers of all that are there, this one's among them."""
        found = {self._own}
        for path in self._folder.glob(SOCKET_NAME.format("*")):
            number = path.stem.rpartition("-")[2]
            if number.isdecimal():
                found.add(int(number))
        return sorted(found)

    def home_of(self, key: str, origin: Origin | None) -> int:
        """The number of the gateway that serves a connection.

        Args:
            key: the session that it names: an id, or a name of the client's own.
            origin: where a connection comes from that names none; None: it is served here.
        """
        if key:
            return home_of_key(key, self.slots(), self._own)
        if origin is None:
            return self._own
        who = origin.process if origin.process is not None else origin.user
        return _dealt(zlib.crc32(f"{origin.address} {who}".encode()), self.slots())


def new_session_id(home: int) -> bytes:
    """A session's id, which begins with the number of its gateway; 120 bits of it are secret."""
    return bytes([home]) + secrets.token_bytes(SESSION_ID_BYTES - 1)


def home_of_key(key: str, slots: Sequence[int], own: int) -> int:
    """Where a session is: its id begins with the number of its gateway (:func:`new_session_id`).

    A name of the client's own, which may begin with any number, has a home too.
    """
    try:
        first = bytes.fromhex(key)[0]
    except (ValueError, IndexError):
        return own  # no key at all: whoever has the connection says so
    return first if first in slots else _dealt(first, slots)


def _dealt(number: int, slots: Sequence[int]) -> int:
    return slots[number % len(slots)]
