"""Holds back the sessions whose audio comes much faster than real time while others speak."""

from __future__ import annotations

import logging
from typing import Final

from common.api_keys import name_of
from common.events import HeldBack
from gateway.audit import AuditLog
from gateway.clients import Attachment, Clients
from gateway.metrics import GatewayMetrics

log = logging.getLogger(__name__)

SPEAKING_S: Final = 5.0
"""A session that sent audio so lately is one of those that others must not hold up."""


class SpeedLimit:
    """Carries out what each session's :class:`gateway.pace.Pace` decides, and says so.

    Args:
        most_speed: times real time.
        audit: where it is told once of each session.
    """

    def __init__(
        self,
        most_speed: float,
        metrics: GatewayMetrics,
        clients: Clients,
        audit: AuditLog | None = None,
    ) -> None:
        self._most_speed = most_speed
        self._metrics = metrics
        self._clients = clients
        self._audit = audit or AuditLog("", 0, 0)

    def hold_back(self, now_s: float) -> None:
        """Several times a second: decide for each session whether its next frame has to wait."""
        ahead = [a for a in self._clients if a.session.pace.is_notable(now_s)]
        if not ahead:
            return
        speaking = sum(now_s - a.session.active_s < SPEAKING_S for a in self._clients)
        for attachment in ahead:
            if not attachment.session.pace.decide(now_s, speaking > 1):
                continue
            if attachment.session.pace.held_back:
                self._tell(attachment)
            elif attachment.client is not None:
                attachment.client.progress()

    def _tell(self, attachment: Attachment) -> None:
        self._metrics.limits_met.labels("speed").inc()
        if attachment.was_held_back:
            return  # told before
        attachment.was_held_back = True
        text = f"while others speak, audio is taken at {self._most_speed:g} times real time"
        peer, key = attachment.session.peer, name_of(attachment.key)
        log.info("client %s is held back: %s", peer, text)
        self._audit.write("limit_hit", key=key, client=peer, limit="speed", why=text)
        if attachment.session.wants_events:
            self._clients.deliver(attachment, [HeldBack(self._most_speed, text)])
