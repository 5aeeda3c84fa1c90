"""Takes clients in and lets them go: sessions begin, are resumed, end.

The seam for protocols. What speaks a protocol with a client (the data port's WebSockets, or a
translator of another one) makes itself a :class:`gateway.clients.Client`, which hears the
session's events, and asks :meth:`Reception.begin` for a :class:`Stream`, on which it

- pushes each frame, in the bytes of ``common/wire.py``, with :meth:`Stream.accept`;
- stops reading while :attr:`Stream.must_wait`, and looks again at each ``Client.progress``;
- says with :meth:`Stream.finish` that no more follows: the client hears all that is left, and is
  then told to ``end``;
- calls :meth:`Stream.leave` once, when the connection is gone, whoever closed it.

Holds no socket.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from common.api_keys import ApiKey, name_of
from common.envelope import Commit
from common.errors import BusyError, CloseCode
from common.events import Error
from common.parameters import checked_value
from common.settings import GatewaySettings
from common.wire import Parameter
from gateway.clients import Attachment, Client, Clients
from gateway.hub import Hub
from gateway.integrity_log import IntegrityLog, budget_of_all
from gateway.metrics import GatewayMetrics
from gateway.notary import NO_RECEIPT, RECEIPT_INTERVAL_S, TOO_SOON
from gateway.pairing import NamedSessions, Origin
from gateway.quotas import Spent
from gateway.retention import RetentionLedger
from gateway.session import Session
from gateway.session_maker import SessionMaker, Wishes
from gateway.speed_limit import SpeedLimit
from gateway.tenants import REVOKED, Tenants
from gateway.window import START

log = logging.getLogger(__name__)

COME_BACK: Final = "the server restarts: come back and send what is not committed"


class Stream:
    """One client's hold on a session, until its connection ends or another takes the session."""

    __slots__ = (
        "_attachment",
        "_client",
        "_hub",
        "_receipt_due_s",
        "_reception",
        "_window",
        "session",
    )

    def __init__(
        self, reception: Reception, hub: Hub, attachment: Attachment, client: Client
    ) -> None:
        self.session: Final = attachment.session
        self._window = attachment.session.window
        self._attachment = attachment
        self._client = client
        self._hub = hub
        self._reception = reception
        self._receipt_due_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the session still takes messages of this client."""
        return self._attachment.client is self._client and self.session.rejected is None

    @property
    def must_wait(self) -> bool:
        """Whether the client's next frame has to wait, for room in the window or for others."""
        session = self.session
        # What a resting session has in its window waits for the frame that wakes it.
        waits = session.pace.held_back or (self._window.full and not session.resting)
        return waits and self.is_open

    @property
    def takes_audio(self) -> bool:
        """Whether a frame would be taken in: not after the end of the stream."""
        return self.is_open and not self.session.finishing

    def set_parameter(self, name: str, value: Parameter) -> None:
        """Set a parameter of the session's recorder, as one sets it on the control port.

        Raises:
            CommandError: unknown or read-only name, wrong type or range.
        """
        self.session.parameters[name] = checked_value(name, value)
        self._hub.placement.apply_parameters(self.session)

    def accept(self, message: bytes) -> None:
        """Take in one frame."""
        self._hub.accept(self._attachment, message)

    @property
    def has_quota(self) -> bool:
        """Whether :meth:`spent` is to be asked after each frame."""
        return self._attachment.key is not None

    def spent(self) -> Spent:
        """What follows from the audio so far for the next frame, by the quota of the key."""
        return self._reception.spent(self._attachment)

    def refuse(self, text: str) -> None:
        """A message is not even looked at: one line in the log says so."""
        self._attachment.log.refused(text, time.monotonic())

    def finish(self, frames: int = -1) -> None:
        """The client says that no more audio follows.

        Args:
            frames: its number of the frame that would be next; -1: it does not say.
        """
        self.session.said_end = True
        self._hub.finish(self.session, frames)

    def give_receipt(self) -> None:
        """The client asks for a signed statement on what was judged so far."""
        now_s = time.monotonic()
        if not self.session.wants_receipt:
            self._client.deliver(NO_RECEIPT)
        elif now_s < self._receipt_due_s:
            self._client.deliver(TOO_SOON)
        else:
            self._receipt_due_s = now_s + RECEIPT_INTERVAL_S
            self._hub.give_receipt(self._attachment)

    def leave(self, *, may_return: bool) -> None:
        """The connection is gone.

        Args:
            may_return: it ended as connections do that are lost; who knows its session's id may
                take the session up again.
        """
        self._reception.leave(self._attachment, self._client, may_return=may_return)


class Reception:
    """Begins, resumes and ends sessions.

    Args:
        hub: carries the sessions' frames.
        clients: the sessions and who is attached to them.
        ledger: what is kept for the sessions.
        tenants: the quotas of API keys; None: there are no keys.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        hub: Hub,
        clients: Clients,
        ledger: RetentionLedger[bytes],
        tenants: Tenants | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._hub = hub
        self._clients = clients
        self._ledger = ledger
        self._maker = SessionMaker(settings, hub.policy, ledger, signs=hub.notary is not None)
        metrics.remembered_failures.set_function(self._maker.book.__len__)
        self._tenants = tenants or Tenants()
        audit = self._tenants.audit
        self._speed_limit = SpeedLimit(settings.max_speed, metrics, clients, audit)
        self._log_budget = budget_of_all()
        self._draining = False

    def begin(
        self,
        client: Client,
        *,
        wants_events: bool = False,
        wants_utterances: bool = False,
        wants_receipt: bool = False,
        resend_from: int = -1,
        name: str = "",
        origin: Origin | None = None,
        start: Commit = START,
        key: ApiKey | None = None,
    ) -> Stream:
        """A new session for a client.

        Args:
            wants_events: the client asked for integrity events.
            wants_utterances: the client is told of every utterance, also of those without text.
            wants_receipt: also for a receipt, which it gets if this server signs them.
            resend_from: the client's number of its first frame, if it promised, beside asking
                for events, to send frames again; else -1.
            name: the client's own for the session; no name if it is guessed too easily.
            origin: where the client comes from, if more is known than its address.
            start: where in its first frame the session begins.
            key: as :meth:`gateway.gatekeeper.Gatekeeper.admit` found it.

        Raises:
            BusyError: there is no room; the client was told.
        """
        if self._draining:
            raise self._busy(client, "stopping", "the server is stopping")
        if len(self._clients) >= self._settings.max_sessions and not self._make_room(client):
            most = f"its limit of {self._settings.max_sessions} sessions"
            raise self._busy(client, "sessions", f"the server is at {most}; try later")
        if start == START and (late := self._hub.placement.overloads.refusal(time.monotonic())):
            raise self._busy(client, late.why, late.text)
        if reason := self._tenants.admit(key, client.peer):
            raise self._busy(client, "quota", reason)
        wishes = Wishes(wants_events, wants_utterances, wants_receipt, resend_from, start)
        session = self._maker.make(client.peer, client.address, key, wishes)
        integrity_log = IntegrityLog(
            client.peer,
            session.policy,
            extended=self._settings.use_extended_logging,
            summary_s=self._settings.ok_summary_s,
            shared=self._log_budget,
        )
        attachment = Attachment(
            session,
            integrity_log,
            client,
            origin=origin,
            name=name if NamedSessions.is_name(name) else "",
            key=key,
        )
        self._tenants.began(attachment)
        log.info("client %s connected (%d sessions)", session.peer, len(self._clients) + 1)
        if wants_events:
            client.deliver(session.started(resumed=False))
        self._clients.add(attachment, time.monotonic())
        self._hub.add(session)
        return Stream(self, self._hub, attachment, client)

    def resume(
        self, client: Client, session_key: str, sentences: int, *, key: ApiKey | None = None
    ) -> Stream | None:
        """Take up a session again; None if there is none (any more) with this id.

        Args:
            key: the API key; that of the session, or there is none.
            sentences: final results that the client has; -1: none of the others are sent.
        """
        attachment = self._clients.find_own(session_key)
        if attachment is None or attachment.session.is_rejected():
            return None
        if name_of(attachment.key) != name_of(key):
            return None
        self._clients.take_over(attachment, client)
        session = attachment.session
        log.info("client %s resumed its session as %s", session.peer, client.peer)
        missed = session.missed_sentences(sentences) if sentences >= 0 else []
        client.deliver(session.started(resumed=True, misses_sentences=bool(missed)))
        for sentence in missed:
            client.deliver(sentence)
        self._hub.mender.resumed(attachment)
        if session.drained:
            self._hub.end_if_done(attachment)
        return Stream(self, self._hub, attachment, client)

    def leave(self, attachment: Attachment, client: Client, *, may_return: bool) -> None:
        """A client's connection is gone; its session outlives it only if it may resume."""
        if attachment.client is not client:
            return
        session = attachment.session
        if not (may_return and session.wants_events) or session.is_rejected():
            self.end(session)
            return
        if session.healing is not None:
            session.healing.suspend()
        grace_s = self._settings.resume_grace_s
        log.info("client %s lost its connection; waiting %g s for it", session.peer, grace_s)
        self._clients.leave(attachment, time.monotonic() + grace_s)

    def shut_down(self, session: Session) -> None:
        """A client asked to shut its session down."""
        attachment = self._clients.get(session.id)
        if attachment is not None and attachment.client is not None:
            attachment.client.end(CloseCode.NORMAL, "session was shut down")
        else:
            self.end(session)

    def end(self, session: Session) -> None:
        """Forget a session and all that is attached to it."""
        attachment = self._clients.remove(session.id)
        if attachment is None:
            return
        self._tenants.ended(attachment)
        if session.corrupt_frames:
            self._metrics.corrupt_sessions.inc()
        log.info(
            "client %s left: %d frames, %d corrupt, %d sentences",
            session.peer,
            session.window.next_seq,
            session.corrupt_frames,
            session.sentence_count,
        )
        self._hub.remove(session)

    def spent(self, attachment: Attachment) -> Spent:
        """What follows from a session's audio so far, by the quota of its key."""
        return self._tenants.spent(attachment.key, attachment.session)

    def expire(self) -> None:
        """Several times a second: forget whose client did not come back, hold back who is ahead."""
        now_s = time.monotonic()
        for attachment in self._clients.expired(now_s):
            self.end(attachment.session)
        self._maker.book.forget(now_s)
        self._speed_limit.hold_back(now_s)

    def _make_room(self, client: Client) -> bool:
        """Let a session that is not used give way to a new one; whether there was any."""
        idle_s = self._settings.session_idle_s
        attachment = self._clients.to_displace(client.address, time.monotonic(), idle_s)
        if attachment is None:
            return False
        session = attachment.session
        self._tenants.displaced(session.peer, client.peer)
        self._metrics.limits_met.labels("displaced").inc()
        if attachment.client is not None:
            text = f"no audio for {idle_s:g} s, and others need the place; try later"
            attachment.client.deliver(Error("displaced", text, "disconnect"))
            attachment.client.end(CloseCode.TRY_AGAIN_LATER, text)
        self.end(session)
        return True

    def end_revoked(self, still_holds: Callable[[ApiKey | None], bool]) -> int:
        """End the sessions whose key is revoked or expired; how many."""
        ended = [attachment for attachment in self._clients if not still_holds(attachment.key)]
        for attachment in ended:
            log.warning("client %s: %s", attachment.session.peer, REVOKED)
            if attachment.client is not None:
                attachment.client.deliver(Error("key_revoked", REVOKED, "disconnect"))
                attachment.client.end(CloseCode.POLICY_VIOLATION, REVOKED)
            self.end(attachment.session)
        self._metrics.revoked.inc(len(ended))
        return len(ended)

    # -- stopping ------------------------------------------------------------------------------

    def drain(self) -> None:
        """Turn new clients away; who can resume goes on elsewhere, the others come to their end.

        Whoever asked for events has its uncommitted audio itself and sends it to the next server:
        to finish its session here would cut its sentence in two.
        """
        self._draining = True
        for attachment in list(self._clients):
            session, client = attachment.session, attachment.client
            if session.finishing:
                continue
            if not session.wants_events:
                self._hub.finish(session)
            elif client is not None:
                client.end(CloseCode.SERVICE_RESTART, COME_BACK)

    @property
    def is_drained(self) -> bool:
        """Whether no client is left that waits for something."""
        return all(attachment.client is None for attachment in self._clients)

    def send_away(self) -> None:
        """Close the connections of those that are left."""
        for attachment in list(self._clients):
            if attachment.client is None:
                continue
            if attachment.session.wants_events:
                attachment.client.end(CloseCode.SERVICE_RESTART, COME_BACK)
            else:
                attachment.client.end(CloseCode.GOING_AWAY, "the server is stopping")

    def _busy(self, client: Client, why: str, reason: str) -> BusyError:
        self._metrics.busy.labels(why).inc()
        self._tenants.turned_away(client.peer, why, reason)
        return BusyError(reason)
