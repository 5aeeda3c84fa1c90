"""Connections of a TLS port, counted by address from their first packet on.

A server that is given a context makes a connection's protocol known of it when TLS is spoken; who
never speaks it would hold open files that nobody counts. So a port listens in the clear, its
connections are let in here, and only then do they shake hands.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import Any, cast

from gateway.bounded_connection import Connections, Knock, far_end


class TlsDoor(asyncio.Protocol):
    """One connection until TLS is spoken; then another transport of it is the guest's.

    Args:
        guest: an asyncio protocol; it learns its ``knock``, and is connected once the handshake
            has ended well.
        connections: where it is counted.

    Attributes:
        protocol: the guest's own, if it is a WebSocket: websockets asks what it made for it.
    """

    def __init__(self, guest: Any, tls: ssl.SSLContext, connections: Connections) -> None:
        self.protocol = getattr(guest, "protocol", None)
        self._guest = guest
        self._tls = tls
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket out of its transport, which has read nothing yet."""
        plain = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        address, peer = far_end(plain.get_extra_info("peername"))
        knock = self._connections.knock(address, peer)
        self._guest.knock = knock
        opened = None
        if knock.goes_on:
            try:
                opened = socket.socket(fileno=os.dup(plain.get_extra_info("socket").fileno()))
                opened.setblocking(False)
            except OSError:  # no descriptor is left
                self._connections.gave_up(knock)
        plain.abort()  # closes its own descriptor
        if opened is not None:
            self._connections.shakes(self._shake_hands(opened, knock))

    async def _shake_hands(self, opened: socket.socket, knock: Knock) -> None:
        """Until the guest is connected, or the peer gives up, or its time is over."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._guest,
                opened,
                ssl=self._tls,
                ssl_handshake_timeout=self._connections.limits.handshake_s,
            )
        except OSError:  # of TLS, too
            opened.close()
            self._connections.gave_up(knock)
