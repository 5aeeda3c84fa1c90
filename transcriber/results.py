"""The transcriber's results link: acknowledgements batched, events in order.

Overflow policy, while the gateway does not read: partial results are dropped and counted,
acknowledgements wait as the newest state of each session, sentences and the notices around them
are kept (a session makes few, and no audio comes while its gateway is away).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import zmq

from common import envelope
from common.links import Outlet
from common.stamps import sealed

ACKS_PER_BATCH: Final = 128
ACK_DELAY_S: Final = 0.003
"""Far below any retransmission timeout; a window of frames takes longer to come."""


class ResultSender:
    """Sends envelopes to the gateway without ever blocking.

    Args:
        ack_of: the present acknowledgement of a session; None when it is gone.
        on_shed: called for each event that is dropped.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        instance: str,
        ack_of: Callable[[bytes], envelope.Ack | None],
        on_shed: Callable[[], None],
    ) -> None:
        self._instance = instance
        self._ack_of = ack_of
        self._on_shed = on_shed
        self._loop = asyncio.get_running_loop()
        self._outlet = Outlet(socket, self.flush)
        self._waiting: deque[list[bytes]] = deque()
        self._dirty: dict[bytes, None] = {}
        self._flush_is_due = False

    def acknowledge(self, session: bytes) -> None:
        """A session's intake changed: tell the gateway soon, with the others that change."""
        if not self._dirty:
            self._loop.call_later(ACK_DELAY_S, self._flush_later)
        self._dirty[session] = None

    def send(self, message: envelope.Message, *extra: bytes, may_shed: bool = False) -> None:
        """Send an envelope, after the acknowledgements that came before it."""
        if may_shed and self._outlet.blocked:
            self._on_shed()
            return
        self.settle_acks()
        self._waiting.append(sealed(envelope.pack(message), *extra))
        self._flush_later()

    def flush(self) -> None:
        """Send what waits, as far as the gateway reads."""
        self._flush_is_due = False
        if not self._outlet.blocked:
            self.settle_acks()
        while self._waiting and self._outlet.send(self._waiting[0]):
            self._waiting.popleft()

    def close(self) -> None:
        """Send what the gateway takes at once, and stop."""
        self.flush()
        self._outlet.close()

    def _flush_later(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self.flush)

    def settle_acks(self) -> None:
        """Let the acknowledgements that wait be of what was so far."""
        sessions = list(self._dirty)
        self._dirty.clear()
        acks = [ack for key in sessions if (ack := self._ack_of(key)) is not None]
        for start in range(0, len(acks), ACKS_PER_BATCH):
            batch = envelope.AckBatch(self._instance, acks[start : start + ACKS_PER_BATCH])
            self._waiting.append(sealed(envelope.pack(batch)))
