"""Sessions by the API keys that began them: quotas, what a key may command, the end with its key.

A session belongs to its key: with another one nobody resumes, hears or commands it, whatever id he
knows. Where no keys are asked for, all sessions are nobody's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from common.api_keys import ApiKey, name_of
from gateway.audit import AuditLog
from gateway.clients import Attachment
from gateway.quotas import Quotas, Spent
from gateway.session import Session

log = logging.getLogger(__name__)

REVOKED = "the API key was revoked or is expired"


class Tenants:
    """Keeps each key to its quota, and tells the audit log of its sessions."""

    def __init__(
        self, audit: AuditLog | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.audit = audit or AuditLog("", 0, 0)
        self._clock = clock
        self._quotas = Quotas()
        self._accounted_s: dict[bytes, float] = {}

    def admit(self, key: ApiKey | None, peer: str) -> str:
        """A session is about to begin; why the key has no room for it, "" if it has."""
        refused = self._quotas.begin(key, self._clock()) if key is not None else ""
        if refused:
            self._met("quota", peer, refused, key)
        return refused

    def began(self, attachment: Attachment) -> None:
        """A session that was admitted is there."""
        self._accounted_s[attachment.session.id] = 0.0
        self.audit.write(
            "session_begun", key=name_of(attachment.key), client=attachment.session.peer
        )

    def ended(self, attachment: Attachment) -> None:
        """A session is gone: its counts, and why it was rejected if it was."""
        key, session = attachment.key, attachment.session
        if key is not None:
            self._account(key, session)  # what was judged after its last frame
            self._quotas.end(key)
        self._accounted_s.pop(session.id, None)
        report = session.report()
        if session.rejected is not None:
            self.audit.write("rejection", key=name_of(key), client=session.peer, why="corruption")
        self.audit.write(
            "session_ended",
            key=name_of(key),
            client=session.peer,
            frames=report.frames,
            audio_seconds=report.audio_seconds,
            ok=report.ok,
            unverified=report.unverified,
            corrupt=report.corrupt,
            sentences=report.sentences,
        )

    def spent(self, key: ApiKey | None, session: Session) -> Spent:
        """What follows from the audio of a session that was judged since the last call."""
        if key is None or not (key.quota.audio_s or key.quota.speed):
            return Spent()
        result = self._account(key, session)
        if result.refused:
            self._met("hours", session.peer, result.refused, key)
        return result

    def turned_away(self, peer: str, limit: str, reason: str) -> None:
        """There is no room for a client's session."""
        log.warning("client %s was turned away: %s", peer, reason)
        if limit != "quota":  # that was written with its key
            self._met(limit, peer, reason)

    def displaced(self, peer: str, by: str) -> None:
        """A session that is not used gives its place to another client's."""
        log.warning("client %s gives its place to %s, for all are taken", peer, by)
        self._met("displaced", peer, "its session was not used, and all places are taken")

    def _account(self, key: ApiKey, session: Session) -> Spent:
        heard_s = session.audio_seconds
        new_s = heard_s - self._accounted_s.get(session.id, 0.0)
        self._accounted_s[session.id] = heard_s
        return self._quotas.spend(key, new_s, self._clock())

    def _met(self, limit: str, peer: str, why: str, key: ApiKey | None = None) -> None:
        self.audit.write("limit_hit", key=name_of(key), client=peer, limit=limit, why=why)
