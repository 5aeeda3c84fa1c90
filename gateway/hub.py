"""Where a gateway's sessions meet its links: frames out, verdicts and results in.

All calls come from the event loop's thread. The hub does no WebSocket I/O: what sessions say
happened it logs, counts and hands to their clients.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import Final

import zmq

from common import envelope
from common.errors import CloseCode
from common.events import STOCK_EVENT_TYPES, End, Notice, Realtime, TranscriptionStart
from common.links import Inbox, LinkEnd, Links, Parts
from common.receiver import Receiver
from common.settings import GatewaySettings
from common.stamps import Hop, stamp_of
from gateway.clients import Attachment, Clients
from gateway.frames_out import FramesOut
from gateway.mending import Mender
from gateway.metrics import GatewayMetrics
from gateway.notary import Notary
from gateway.placement import Placement
from gateway.quarantine import Quarantine
from gateway.rejection import RejectionPolicy
from gateway.retention import RetentionLedger
from gateway.retransmission import RetransmissionTimer
from gateway.sentences import SAMPLES_PER_MS
from gateway.session import Session
from gateway.text_log import sentence_heard

log = logging.getLogger(__name__)

VERIFIER_TIMEOUT_BEATS: Final = 6


class Hub:
    """The sessions of one gateway and their way through the pipeline.

    Args:
        clients, ledger: all sessions of the gateway and who hears them; what is kept for them.
        notary: signs receipts; None: there are none. quarantine: keeps corrupt frames, likewise.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        links: Links,
        metrics: GatewayMetrics,
        clients: Clients,
        ledger: RetentionLedger[bytes],
        notary: Notary | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.policy = RejectionPolicy.of(settings)
        self.verifiers: dict[str, float] = {}
        self._settings = settings
        self._metrics = metrics
        self._tally = metrics.tally
        self._clients = clients
        self._ledger = ledger
        metrics.retained_limit.set(settings.retain_total_bytes)
        self.notary = notary
        self._quarantine = quarantine
        self._frames_out = FramesOut(self.id, settings, links, metrics, clients, self.policy.bits)
        self.mender = Mender(clients, self._frames_out, metrics)
        verdicts = links.open(LinkEnd.VERDICTS_IN, settings.endpoint("verdicts"))
        verdicts.setsockopt(zmq.SUBSCRIBE, self.id.encode())
        results = links.open(LinkEnd.RESULTS_IN, settings.endpoint("results"))
        bad, hurt = metrics.bad_envelopes.labels, metrics.damaged.labels
        self._verdicts_in = Receiver(
            "verdicts",
            envelope.unpack_verdicts,
            bad("verdicts").inc,
            addressed=True,
            on_damage=hurt(Hop.VERDICTS).inc,
        )
        self._results_in = Receiver(
            "results", envelope.unpack_results, bad("results").inc, on_damage=hurt(Hop.RESULTS).inc
        )
        self._inboxes = [
            Inbox(verdicts, self._on_verdict_messages),
            Inbox(results, self._on_result_messages),
        ]
        self.placement = Placement(
            self.id, settings, links, metrics, clients, self.policy, self._frames_out
        )

    # -- sessions ------------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """A session begins, to which its client is attached already; it rests until it speaks."""
        session.active_s = time.monotonic()
        self._metrics.sessions.set(len(self._clients))

    def remove(self, session: Session) -> None:
        """Forget a session that nobody is attached to any more; its recorder is dropped."""
        self._ledger.close(session.id)
        self._frames_out.remove(session)
        self._metrics.sessions.set(len(self._clients))
        self.placement.remove(session)

    @property
    def engine(self) -> str:
        """The name of what transcribes; "" while there is no transcriber."""
        return next((t.hello.engine for t in self.placement.registry.all()), "")

    @property
    def not_ready(self) -> str:
        """What the pipeline lacks; "" when it can transcribe."""
        missing = [
            name
            for name, there in (
                ("verifier", self.verifiers),
                ("transcriber", self.placement.registry),
            )
            if not there
        ]
        lacks = [f"no {' and no '.join(missing)} yet", *self.placement.names.problems]
        return "; ".join(lacks) if missing else ""

    @property
    def remark(self) -> str:
        """What an operator should know of a pipeline that is ready, as of the last heartbeat."""
        return self.placement.remark

    # -- receipts ------------------------------------------------------------------------------

    def give_receipt(self, attachment: Attachment, *, final: bool = False) -> None:
        """Sign what a session has to say, if its client asked for receipts, and send it."""
        if self.notary is not None:
            self._clients.deliver(attachment, self.notary.receipt(attachment.session, final=final))

    # -- frames out ----------------------------------------------------------------------------

    def accept(self, attachment: Attachment, message: bytes) -> None:
        """Take in a client's frame and send it on as soon as the links allow."""
        session, window = attachment.session, attachment.session.window
        now_s = session.active_s = time.monotonic()
        self._tally.frames += 1
        self._tally.bytes += len(message)
        if session.resting:
            self.placement.wake(session)
        if session.healing is not None:
            self.mender.accept(attachment, message)
        else:
            window.accept(message, now_s, time.time_ns(), stamp_of(message))
            self._frames_out.offer(session)
        if self._ledger.is_over(window.account):
            self._limit_retention(session)

    def finish(self, session: Session, frames: int = -1) -> None:
        """The client sends no more: transcribe what there is, then end the session.

        Args:
            frames: how many it had, by its own count; -1: it does not say.
        """
        attachment = self._clients.get(session.id)
        if attachment is not None and not session.finishing:
            self.mender.end(attachment, frames)
        session.finishing = True
        self.placement.wake(session)
        self.placement.send_finish(session)

    def _limit_retention(self, grown: Session) -> None:
        """Keep within the bounds by giving up what could only matter in a crash, and say so."""
        for excess in self._ledger.excesses(grown.id):
            attachment = self._clients.get(excess.session)
            if attachment is None:
                continue
            session = attachment.session
            given_up = session.window.give_up_oldest(excess.target_bytes)
            if not given_up:
                continue
            self._metrics.given_up.inc(given_up)
            limited = session.note_limit(excess.scope)
            if limited is None:
                continue  # said once; the metrics count on
            if session.wants_events:
                self._clients.deliver(attachment, [limited])
            log.warning(
                "retention limit (%s): client %s has %d bytes without a finished sentence; a "
                "crash of its transcriber now would lose the audio before them",
                excess.scope,
                session.peer,
                session.window.account.bytes,
            )

    # -- verdicts in ---------------------------------------------------------------------------

    def _on_verdict_messages(self, messages: list[Parts]) -> None:
        now_s = time.monotonic()
        for letter in self._verdicts_in.letters(messages):
            match letter.message:
                case envelope.VerdictBatch(verdicts=verdicts):
                    for verdict in verdicts:
                        attachment = self._clients.get(verdict.session)
                        if attachment is not None and attachment.session.rejected is None:
                            self._on_verdict(attachment, verdict, now_s)
                case envelope.VerifierHello() as hello:
                    self._hear_verifier(hello, now_s)

    def _hear_verifier(self, hello: envelope.VerifierHello, now_s: float) -> None:
        if hello.draining:
            self.verifiers.pop(hello.verifier, None)
        else:
            if hello.verifier not in self.verifiers:
                log.info("verifier %s joined", hello.verifier)
            self.verifiers[hello.verifier] = now_s
        self._metrics.verifiers.set(len(self.verifiers))

    def _on_verdict(self, attachment: Attachment, verdict: envelope.Verdict, now_s: float) -> None:
        session = attachment.session
        if session.healing is not None and self.mender.takes(attachment, verdict, now_s):
            return
        in_turn = session.judge(verdict, now_s)
        for judged in in_turn:
            if judged.mended is not None:
                self._metrics.healed.inc()
            if not judged.missing:
                self._tally.judged(judged.verdict.code, judged.bucket, judged.latency_s)
            if judged.verdict.code == envelope.Code.CORRUPT:
                self._metrics.offenders.count(*attachment.whose)
            attachment.log.judged(judged, now_s)
            if self._quarantine is not None:
                self._quarantine.judged(session.peer, session.id, judged)
            if judged.events:
                self._clients.deliver(attachment, judged.events)
        if session.rejected is not None:
            self._metrics.rejections.inc()
            self._frames_out.remove(session)
            self.give_receipt(attachment, final=True)
            if attachment.client is not None:
                attachment.client.end(CloseCode.POLICY_VIOLATION, session.rejected[:120])
                attachment.client.progress()
        elif in_turn:
            if session.drained:
                self.end_if_done(attachment)
            if attachment.client is not None:
                attachment.client.progress()

    # -- results in ----------------------------------------------------------------------------

    def _on_result_messages(self, messages: list[Parts]) -> None:
        now_s = time.monotonic()
        for letter in self._results_in.letters(messages):
            self._on_result(letter.message, letter.payload, now_s)
        self._frames_out.pump()

    def _on_result(self, message: envelope.ResultsMessage, pcm: bytes, now_s: float) -> None:
        match message:
            case envelope.TranscriberHello():
                self.placement.hear(message, now_s)
            case envelope.AckBatch():
                fed_timer = self.placement.registry.fed_timer(message.instance)
                for ack in message.acks:
                    self._on_ack(message.instance, ack, now_s, fed_timer)
            case envelope.RecorderEvent():
                self._on_event(message, pcm)
            case envelope.Sentence():
                self._on_sentence(message)
            case envelope.Drained():
                self._on_drained(message)

    def _attached_at(
        self, key: bytes, instance: str, epoch: int, sentences: int = 0
    ) -> Attachment | None:
        """The session, if that is the instance, and the placement, that serves it now.

        Not if one of so many sentences was lost: a commit would cover it, so it is heard again.
        """
        attachment = self._clients.get(key)
        if attachment is None or attachment.session.rejected is not None:
            return None
        seat = attachment.session.seat
        if not seat.is_at(instance, epoch):
            return None
        if sentences > seat.sentences:
            self.placement.place_again(attachment.session, "a sentence of it was lost")
            return None
        return attachment

    def _on_ack(
        self,
        instance: str,
        ack: envelope.Ack,
        now_s: float,
        fed_timer: RetransmissionTimer | None,
    ) -> None:
        attachment = self._attached_at(ack.session, instance, ack.epoch, ack.sentences)
        if attachment is None or not attachment.session.seat.is_open:
            return
        session = attachment.session
        if ack.gaps:
            self._metrics.gaps.inc(len(ack.gaps))
        if not session.acknowledge(ack, now_s, fed_timer):
            return
        if session.wants_events:
            self._clients.deliver(attachment, session.acknowledged())
        if session.window.to_send() is not None:
            self._frames_out.queue(session)
        if attachment.client is not None:
            attachment.client.progress()

    def _on_event(self, event: envelope.RecorderEvent, pcm: bytes) -> None:
        attachment = self._attached_at(event.session, event.instance, event.epoch)
        if attachment is None:
            return
        wants_times = attachment.session.wants_times
        at_ms = event.at_sample // SAMPLES_PER_MS if wants_times else None
        if event.type == "realtime":
            self._clients.deliver(attachment, [Realtime(event.text, at_ms)])
        elif event.type in STOCK_EVENT_TYPES and attachment.session.note_event(
            event.type, event.at_sample
        ):
            started = event.type == "transcription_start"
            told = TranscriptionStart.of(pcm) if started else Notice(event.type, at_ms)
            self._clients.deliver(attachment, [told])

    def _on_sentence(self, said: envelope.Sentence) -> None:
        attachment = self._attached_at(said.session, said.instance, said.epoch, said.sentences)
        if attachment is None:
            return
        taken = attachment.session.take_sentence(said)
        self._clients.deliver(attachment, taken.events)
        if not taken.is_new:
            self._metrics.duplicate_sentences.inc()
        elif said.text and not said.error:
            self._metrics.sentences.inc()
            sentence_heard(attachment.session.peer, said.text)

    def _on_drained(self, said: envelope.Drained) -> None:
        attachment = self._attached_at(said.session, said.instance, said.epoch, said.sentences)
        if attachment is not None and attachment.session.finishing:
            attachment.session.drained = True
            self.end_if_done(attachment)

    def end_if_done(self, attachment: Attachment) -> None:
        """End a session that was transcribed to its end, unless verdicts are still on their way."""
        session = attachment.session
        if session.window.judged < session.window.next_seq:
            return
        if session.wants_events:
            self._clients.deliver(attachment, [session.report()])
            self.give_receipt(attachment, final=True)
            if session.said_end:
                self._clients.deliver(attachment, [End()])
        if attachment.client is None:
            return
        if session.said_end:
            attachment.client.end(CloseCode.NORMAL, "end of stream")
        else:
            attachment.client.end(CloseCode.GOING_AWAY, "the server is stopping")

    # -- time ----------------------------------------------------------------------------------

    def beat(self) -> None:
        """Every heartbeat: give up the silent, repeat what may have been lost."""
        now_s = time.monotonic()
        self.placement.beat(now_s)
        self._expire_verifiers(now_s)
        for session in (attachment.session for attachment in self._clients):
            # While frames are on their way, that it was not answered says nothing.
            if session.finishing and not session.drained and session.window.quiet:
                self.placement.send_finish(session)
        self._metrics.retained.set(self._ledger.bytes)
        self._metrics.free_places.set(self.placement.registry.free_places)

    def expire(self) -> None:
        """Several times a second: queue frames that made no progress for sending again."""
        now_s = time.monotonic()
        self.mender.expire(now_s)
        self._frames_out.expire(now_s, self.placement.registry.fed_timer)

    def _expire_verifiers(self, now_s: float) -> None:
        for name, heard_s in list(self.verifiers.items()):
            if now_s - heard_s > VERIFIER_TIMEOUT_BEATS * self._settings.heartbeat_s:
                del self.verifiers[name]
                log.warning("verifier %s fell silent", name)
        self._metrics.verifiers.set(len(self.verifiers))

    def close(self) -> None:
        """Stop reading and sending; the links are closed by their owner."""
        for inbox in self._inboxes:
            inbox.close()
        self.placement.close()
        self._frames_out.close()
