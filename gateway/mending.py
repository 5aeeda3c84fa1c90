"""Where sessions that can heal meet the hub: their requests go to clients, what came goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable

from common.envelope import Code, Verdict
from common.events import Resend
from common.stamps import stamp_of
from gateway.clients import Attachment, Clients
from gateway.frames_out import FramesOut
from gateway.healing import Healing
from gateway.metrics import GatewayMetrics


class Mender:
    """Carries out what :class:`gateway.healing.Healing` says, for all sessions."""

    def __init__(self, clients: Clients, frames_out: FramesOut, metrics: GatewayMetrics) -> None:
        self._clients = clients
        self._frames_out = frames_out
        self._metrics = metrics
        self._asking: dict[bytes, None] = {}  # sessions whose clients may have been asked

    def accept(self, attachment: Attachment, message: bytes) -> None:
        """A client's message, of whichever frame."""
        healing = attachment.session.healing
        if healing is None:
            return
        now_s, now_ns = time.monotonic(), time.time_ns()
        repeated = healing.repeated
        asks = healing.accept(message, stamp_of(message), now_s, now_ns)
        if healing.repeated > repeated:
            self._metrics.refused.labels("repeated").inc()
        self._carry_out(attachment, asks)

    def end(self, attachment: Attachment, frames: int) -> None:
        """A client says how many frames it had (-1: it does not say): are the last ones there?"""
        healing = attachment.session.healing
        if healing is not None:
            number = frames if frames >= 0 else None
            self._carry_out(attachment, healing.end(number, time.monotonic(), time.time_ns()))

    def takes(self, attachment: Attachment, verdict: Verdict, now_s: float) -> bool:
        """Whether a verdict does not count, since the client is asked for the frame again."""
        healing = attachment.session.healing
        if healing is None or verdict.code != Code.CORRUPT:
            return False
        asks = healing.corrupt(verdict, now_s)
        if asks is None:
            return False
        self._carry_out(attachment, asks)
        return True

    def expire(self, now_s: float) -> None:
        """Look whether the clients that were asked answered in time."""
        for key in list(self._asking):
            attachment = self._clients.get(key)
            healing = attachment.session.healing if attachment is not None else None
            if attachment is None or healing is None or not healing.is_asking:
                del self._asking[key]
            elif attachment.client is not None and healing.is_due(now_s):
                self._overdue(attachment, healing, now_s)

    def _overdue(self, attachment: Attachment, healing: Healing, now_s: float) -> None:
        given_up = healing.given_up
        asks = healing.overdue(now_s)
        self._metrics.unhealed.inc(healing.given_up - given_up)
        self._carry_out(attachment, asks)

    def resumed(self, attachment: Attachment) -> None:
        """The client is back: it may have missed requests."""
        healing = attachment.session.healing
        if healing is not None:
            self._carry_out(attachment, healing.resume(time.monotonic()))

    def _carry_out(self, attachment: Attachment, asks: Iterable[Resend]) -> None:
        self._asking[attachment.session.id] = None
        for ask in asks:
            self._metrics.resends.inc()
            self._clients.deliver(attachment, [ask])
        self._frames_out.queue(attachment.session)
        self._frames_out.pump()
        if attachment.client is not None:  # there is room while answers are awaited
            attachment.client.progress()
