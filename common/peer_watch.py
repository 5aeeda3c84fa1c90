"""Tells when the peer at the other end of a link is gone, as its death closes that."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from common.errors import SettingsError
from common.links import Inbox


class PeerWatch:
    """Watches the connection of one socket that has one peer.

    Args:
        socket: connected; :meth:`close` comes before it is closed.
        on_gone: called when the other end is closed; may be called again.

    Raises:
        SettingsError: no socket is left to watch with.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_gone: Callable[[], None]) -> None:
        try:
            self._events = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        except zmq.ZMQError as error:
            raise SettingsError(f"a link cannot be watched: {error}") from None
        self._socket = socket
        self._inbox = Inbox(self._events, lambda _: on_gone())

    def close(self) -> None:
        """Watch no longer."""
        self._inbox.close()
        self._socket.disable_monitor()
        self._events.close(linger=0)  # while it is open the context cannot be ended
