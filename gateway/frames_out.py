"""The frames link: sends each session's frames to the verifiers, one of each session in turn.

Frames that wait together travel together, in runs of at most :data:`common.envelope.RUN_FRAMES`:
those that the event loop takes in one turn, and those that wait for room in the link. Nothing waits
for a run to become longer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from common import envelope
from common.envelope import RUN_BYTES, RUN_FRAMES
from common.links import LinkEnd, Links, Outlet
from common.settings import GatewaySettings
from common.stamps import Hop, frame_stamp, stamp_of
from gateway.clients import Clients
from gateway.dispatch import FairQueue
from gateway.metrics import GatewayMetrics
from gateway.retransmission import RetransmissionTimer
from gateway.session import Session

log = logging.getLogger(__name__)


class FramesOut:
    """Sends what sessions' windows have to send, as fast as the link allows.

    Args:
        gateway_id: to which the verdicts come back.
        policy_bits: what verifiers need to know of the policy on corruption.
    """

    def __init__(
        self,
        gateway_id: str,
        settings: GatewaySettings,
        links: Links,
        metrics: GatewayMetrics,
        clients: Clients,
        policy_bits: int,
    ) -> None:
        self._gateway_id = gateway_id
        self._policy_bits = policy_bits
        self._metrics = metrics
        self._clients = clients
        self._queue: FairQueue[bytes] = FairQueue()
        self._on_their_way: dict[bytes, None] = {}  # sessions that were sent frames lately
        self._loop = asyncio.get_running_loop()
        self._pump_is_due = False
        self._outlet = Outlet(
            links.open(LinkEnd.FRAMES_OUT, settings.endpoint("frames")), self.pump
        )

    def offer(self, session: Session) -> None:
        """A session has a new frame: it goes out with all that come in this turn of the loop."""
        if not session.seat.audio_endpoint:
            return
        self._queue.add(session.id)
        if not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self.pump)

    def queue(self, session: Session) -> None:
        """A session may have something to send; it keeps its turn if it has one."""
        self._queue.add(session.id)

    def pump(self) -> None:
        """Send in turn until all is sent or the link is full."""
        self._pump_is_due = False
        queue, outlet = self._queue, self._outlet
        if not len(queue) or outlet.blocked:
            return
        now_s = time.monotonic()
        while len(queue) and outlet.has_room():
            run = self._next_run(now_s)
            if run:
                outlet.send(run)

    def expire(
        self, now_s: float, fed_timer: Callable[[str | None], RetransmissionTimer | None]
    ) -> None:
        """Send again what made no progress; looks at sessions that have frames on their way only.

        Args:
            fed_timer: of an instance: how late its acknowledgements are.
        """
        for key in list(self._on_their_way):
            attachment = self._clients.get(key)
            if attachment is None or attachment.session.window.nothing_is_out:
                del self._on_their_way[key]
                continue
            session = attachment.session
            if not session.seat.is_open or session.rejected is not None:
                continue
            if session.window.expire(now_s, fed_timer(session.seat.instance)):
                self._queue.add(key)
        self.pump()

    def remove(self, session: Session) -> None:
        """Nothing of a session is sent any more."""
        self._queue.remove(session.id)

    def close(self) -> None:
        """Stop sending; the link is closed by its owner."""
        self._outlet.close()

    def _next_run(self, now_s: float) -> list[bytes]:
        """The next frames in turn, as one message, counted as sent; [] when there are none."""
        headers: list[envelope.Frame] = []
        parts = [b""]
        size = 0
        while len(headers) < RUN_FRAMES and size < RUN_BYTES:
            session = self._queue.next()
            if session is None:
                break
            frame = self._take_one(session, now_s)
            if frame is None:
                continue
            header, message = frame
            headers.append(header)
            parts.append(message)
            size += len(message)
        if not headers:
            return []
        parts[0] = envelope.pack(envelope.FrameBatch(self._gateway_id, headers))
        return parts

    def _take_one(self, key: bytes, now_s: float) -> tuple[envelope.Frame, bytes] | None:
        attachment = self._clients.get(key)
        if attachment is None:
            return None
        session = attachment.session
        audio_endpoint = session.seat.audio_endpoint
        if not audio_endpoint or session.rejected is not None:
            return None
        window = session.window
        seq = window.to_send()
        if seq is None:
            return None
        frame = window.sent(seq, now_s)
        self._on_their_way[key] = None
        if frame.attempts > 1:
            self._metrics.retransmissions.inc()
            if frame.stamp and stamp_of(frame.message) != frame.stamp:
                self._metrics.damaged.labels(Hop.GATEWAY).inc()
                log.error("frame %d of client %s was damaged in this gateway", seq, session.peer)
                window.lose(seq)
        policy = self._policy_bits | session.policy_bits(frame)
        name = attachment.key.name if attachment.key is not None else ""
        stamp = frame_stamp(frame.stamp, key, seq, policy, frame.version, name)
        header = envelope.Frame(
            key, seq, frame.received_ns, audio_endpoint, policy, stamp, frame.version, name
        )
        if window.has_more:
            self._queue.add(key)
        return header, frame.message
