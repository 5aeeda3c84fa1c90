"""Makes sessions as the settings say, for whoever begins one; see ``reception.py``."""

from __future__ import annotations

import time
from typing import NamedTuple

from common.api_keys import ApiKey, name_of
from common.envelope import Commit
from common.settings import GatewaySettings
from gateway.failure_book import FailureBook
from gateway.healing import HealingLimits
from gateway.neighbours import new_session_id
from gateway.proxies import TrustedProxies
from gateway.rejection import FailureCount, RejectionPolicy
from gateway.retention import RetentionLedger
from gateway.retransmission import RetransmissionTimer
from gateway.session import Session, SessionLimits
from gateway.window import START


class Wishes(NamedTuple):
    """What a client asks for.

    Attributes:
        events: integrity events.
        utterances: to be told of every utterance, also of those without text.
        receipt: beside events, a receipt, which it gets if this server signs them.
        resend_from: its number of its first frame, if it promised, beside asking for events, to
            send frames again; else -1.
        start: where in its first frame the session begins.
    """

    events: bool = False
    utterances: bool = False
    receipt: bool = False
    resend_from: int = -1
    start: Commit = START


class SessionMaker:
    """Makes sessions.

    Args:
        signs: whether this server signs receipts.
        ledger: what is kept for the sessions.

    Attributes:
        book: failures that outlive sessions.

    Raises:
        SettingsError: failures cannot be counted as the settings say.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        policy: RejectionPolicy,
        ledger: RetentionLedger[bytes],
        *,
        signs: bool,
    ) -> None:
        proxies = TrustedProxies(settings.trusted_proxies, settings.proxy_header)
        self.book = FailureBook.of(settings, proxies.is_trusted)
        self._slot = settings.slot if settings.share_ports else None
        self._policy = policy
        self._ledger = ledger
        self._signs = signs
        self._healing = HealingLimits(settings.resend_attempts, settings.resend_timeout_s)
        self._limits = SessionLimits(
            settings.window_frames,
            settings.window_bytes,
            settings.retransmit_min_s,
            settings.retransmit_max_s,
            settings.max_speed,
            RetransmissionTimer(settings.retransmit_min_s, settings.retransmit_max_s),
        )

    def make(self, peer: str, address: str, key: ApiKey | None, wishes: Wishes) -> Session:
        """A new session of a client."""
        page = self.book.page(name_of(key), address)
        can_resend = wishes.events and wishes.resend_from >= 0 and self._healing.attempts
        signed = wishes.events and wishes.receipt and self._signs
        return Session(
            peer=peer,
            wants_events=wishes.events,
            wants_utterances=wishes.utterances,
            policy=self._policy,
            limits=self._limits,
            ledger=self._ledger,
            start=wishes.start,
            session_id=new_session_id(self._slot) if self._slot is not None else None,
            receipt_from_ns=time.time_ns() if signed else None,
            resends=(wishes.resend_from, self._healing) if can_resend else None,
            failures=FailureCount(self._policy, page, time.monotonic()),
        )
