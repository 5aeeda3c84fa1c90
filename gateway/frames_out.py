"""The frames link: sends each session's frames to the verifiers, one of each session in turn."""

from __future__ import annotations

import logging
import time

from common import envelope
from common.links import LinkEnd, Links, Outlet
from common.settings import GatewaySettings
from common.stamps import Hop, frame_stamp, stamp_of
from gateway.clients import Clients
from gateway.dispatch import FairQueue
from gateway.metrics import GatewayMetrics
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
        self._queue: FairQueue[bytes] = FairQueue(self._send_one)
        self._outlet = Outlet(
            links.open(LinkEnd.FRAMES_OUT, settings.endpoint("frames")), self._queue.pump
        )

    def offer(self, session: Session) -> None:
        """A session has a new frame: it goes out at once if nobody is before it."""
        if session.seat.audio_endpoint and (
            len(self._queue)
            or self._send_one(session.id) is not True
            or session.window.unsent < session.window.next_seq
        ):
            self._queue.add(session.id)

    def queue(self, session: Session) -> None:
        """A session may have something to send; it keeps its turn if it has one."""
        self._queue.add(session.id)

    def pump(self) -> None:
        """Send in turn until all is sent or the link is full."""
        if not self._outlet.blocked:
            self._queue.pump()

    def remove(self, session: Session) -> None:
        """Nothing of a session is sent any more."""
        self._queue.remove(session.id)

    def close(self) -> None:
        """Stop sending; the link is closed by its owner."""
        self._outlet.close()

    def _send_one(self, key: bytes) -> bool | None:
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
        frame = window.frame(seq)
        assert frame is not None
        if frame.attempts and frame.stamp and stamp_of(frame.message) != frame.stamp:
            self._metrics.damaged.labels(Hop.GATEWAY).inc()
            log.error("frame %d of client %s was damaged in this gateway", seq, session.peer)
            window.lose(seq)
        policy = self._policy_bits | session.policy_bits(frame)
        name = attachment.key.name if attachment.key is not None else ""
        stamp = frame_stamp(frame.stamp, key, seq, policy, frame.version, name)
        header = envelope.Frame(
            self._gateway_id,
            key,
            seq,
            frame.received_ns,
            audio_endpoint,
            policy,
            stamp,
            frame.version,
            name,
        )
        if not self._outlet.send((envelope.pack(header), frame.message)):
            return False
        if frame.attempts:
            self._metrics.retransmissions.inc()
        window.sent(seq, time.monotonic())
        return True
