"""Where a gateway's sessions meet its links: frames out, verdicts and results in.

All calls come from the event loop's thread. The hub does no WebSocket I/O: it calls a session's
``deliver`` and the callbacks of whoever attached it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final

import zmq

from common import envelope
from common.events import (
    STOCK_EVENT_TYPES,
    End,
    Error,
    Notice,
    Realtime,
    TranscriptionStart,
)
from common.links import End as LinkEnd
from common.links import Inbox, Links, Outlet, Parts
from common.receiver import Receiver
from common.settings import GatewaySettings
from gateway.dispatch import FairQueue
from gateway.metrics import GatewayMetrics
from gateway.placement import Placement
from gateway.rejection import RejectionPolicy
from gateway.session import Link, Session

log = logging.getLogger(__name__)

VERIFIER_TIMEOUT_BEATS: Final = 6


class Hub:
    """The sessions of one gateway and their way through the pipeline."""

    def __init__(self, settings: GatewaySettings, links: Links, metrics: GatewayMetrics) -> None:
        self.id = secrets.token_hex(8)
        self.settings = settings
        self.policy = RejectionPolicy.of(settings)
        self._policy_bits = self.policy.bits
        self.metrics = metrics
        self.sessions: dict[bytes, Session] = {}
        self.verifiers: dict[str, float] = {}
        self.on_progress: dict[bytes, Callable[[], None]] = {}
        self.on_open: dict[bytes, Callable[[], None]] = {}
        self.on_end: dict[bytes, Callable[[], None]] = {}
        self._links = links
        self._frames = links.open(LinkEnd.FRAMES_OUT, settings.endpoint("frames"))
        verdicts = links.open(LinkEnd.VERDICTS_IN, settings.endpoint("verdicts"))
        verdicts.setsockopt(zmq.SUBSCRIBE, self.id.encode())
        results = links.open(LinkEnd.RESULTS_IN, settings.endpoint("results"))
        bad = metrics.bad_envelopes
        self._verdicts_in = Receiver(
            "verdicts", envelope.unpack_verdicts, bad.labels("verdicts").inc, addressed=True
        )
        self._results_in = Receiver("results", envelope.unpack_results, bad.labels("results").inc)
        self._queue: FairQueue[bytes] = FairQueue(self._send_one)
        self._outlet = Outlet(self._frames, self._queue.pump)
        self._inboxes = [
            Inbox(verdicts, self._on_verdict_messages),
            Inbox(results, self._on_result_messages),
        ]
        self.placement = Placement(
            self.id, settings, links, metrics, self.sessions, self.policy, self._on_open
        )
        self._tally = metrics.tally
        self._retained_bytes = 0

    # -- sessions ------------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """Take in a new session and find it a transcriber."""
        self.sessions[session.id] = session
        self.metrics.sessions.set(len(self.sessions))
        self.placement.assign(session)

    def remove(self, session: Session) -> None:
        """Forget a session; its recorder is dropped."""
        if self.sessions.pop(session.id, None) is None:
            return
        self._retained_bytes -= session.window.retained_bytes
        self._queue.remove(session.id)
        self.on_progress.pop(session.id, None)
        self.on_open.pop(session.id, None)
        self.on_end.pop(session.id, None)
        self.metrics.sessions.set(len(self.sessions))
        self.placement.remove(session)

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
        return f"no {' and no '.join(missing)} yet" if missing else ""

    # -- frames out ----------------------------------------------------------------------------

    def accept(self, session: Session, message: bytes) -> None:
        """Take in a client's frame and send it on as soon as the links allow."""
        window = session.window
        retained = window.retained_bytes
        window.accept(message, time.monotonic(), time.time_ns())
        self._retained_bytes += window.retained_bytes - retained
        self._tally.frames += 1
        self._tally.bytes += len(message)
        # With nobody before it a frame goes out at once; otherwise its session waits for its turn.
        if session.audio_endpoint and (
            len(self._queue)
            or self._send_one(session.id) is not True
            or window.unsent < window.next_seq
        ):
            self._queue.add(session.id)
        if (
            window.retained_bytes > self.settings.retain_session_bytes
            or self._retained_bytes > self.settings.retain_total_bytes
        ):
            self._limit_retention(session)

    def finish(self, session: Session) -> None:
        """The client sends no more: transcribe what there is, then call its ``on_end``."""
        session.finishing = True
        self._send_finish(session)

    def _on_open(self, session: Session) -> None:
        """A session has a (new) recorder: send it what it needs."""
        self.placement.apply_parameters(session)  # some may have been set since it was asked for
        self._queue.add(session.id)
        self._queue.pump()
        if session.finishing:
            self._send_finish(session)
        callback = self.on_open.get(session.id)
        if callback is not None:
            callback()

    def _send_finish(self, session: Session) -> None:
        channel = self.placement.channel_of(session)
        if channel is not None:
            channel.send(envelope.Finish(session.id, session.window.next_seq))

    def _send_one(self, key: bytes) -> bool | None:
        session = self.sessions.get(key)
        if session is None or not session.audio_endpoint:
            return None
        window = session.window
        seq = window.to_send()
        if seq is None:
            return None
        frame = window.frame(seq)
        assert frame is not None
        header = envelope.Frame(
            self.id, key, seq, frame.received_ns, session.audio_endpoint, self._policy_bits
        )
        if not self._outlet.send((envelope.pack(header), frame.message)):
            return False
        if frame.attempts:
            self.metrics.retransmissions.inc()
        window.sent(seq, time.monotonic())
        return True

    def _limit_retention(self, session: Session) -> None:
        """Keep within the bounds by giving up what could only matter in a crash, and say so."""
        window = session.window
        before = window.retained_bytes
        over_total = self._retained_bytes - self.settings.retain_total_bytes
        target = self.settings.retain_session_bytes
        if over_total > 0:
            target = min(target, before - over_total)
        given_up = window.give_up_oldest(target)
        self._retained_bytes -= before - window.retained_bytes
        if not given_up:
            return
        self.metrics.given_up.inc(given_up)
        scope = "total" if over_total > 0 else "session"
        if not session.tell_of_limit(scope):
            return  # said once; the metrics count on
        log.warning(
            "retention limit (%s): client %s has %d bytes without a finished sentence; a crash "
            "of its transcriber now would lose the audio before them",
            scope,
            session.peer,
            window.retained_bytes,
        )

    # -- verdicts in ---------------------------------------------------------------------------

    def _on_verdict_messages(self, messages: list[Parts]) -> None:
        now_s = time.monotonic()
        for letter in self._verdicts_in.letters(messages):
            match letter.message:
                case envelope.VerdictBatch(verdicts=verdicts):
                    self._on_verdicts(verdicts, now_s)
                case envelope.VerifierHello() as hello:
                    self._hear_verifier(hello, now_s)

    def _hear_verifier(self, hello: envelope.VerifierHello, now_s: float) -> None:
        if hello.draining:
            self.verifiers.pop(hello.verifier, None)
        else:
            if hello.verifier not in self.verifiers:
                log.info("verifier %s joined", hello.verifier)
            self.verifiers[hello.verifier] = now_s
        self.metrics.verifiers.set(len(self.verifiers))

    def _on_verdicts(self, verdicts: Iterable[envelope.Verdict], now_s: float) -> None:
        for verdict in verdicts:
            session = self.sessions.get(verdict.session)
            if session is None or session.is_rejected():
                continue
            before, was_full = session.window.judged, session.window.full
            retained = session.window.retained_bytes
            session.judge(verdict, now_s)
            self._retained_bytes -= retained - session.window.retained_bytes
            if session.is_rejected():
                session.audio_endpoint = ""
                self.metrics.rejections.inc()
                self._queue.remove(session.id)
                self._progress(session)
            elif session.window.judged != before:
                if session.drained:
                    self.end_if_done(session)
                if was_full:
                    self._progress(session)

    # -- results in ----------------------------------------------------------------------------

    def _on_result_messages(self, messages: list[Parts]) -> None:
        now_s = time.monotonic()
        for letter in self._results_in.letters(messages):
            self._on_result(letter.message, letter.payload, now_s)
        self._queue.pump()

    def _on_result(self, message: envelope.ResultsMessage, pcm: bytes, now_s: float) -> None:
        match message:
            case envelope.TranscriberHello():
                self.placement.hear(message, now_s)
            case envelope.AckBatch():
                for ack in message.acks:
                    self._on_ack(message.instance, ack)
            case envelope.RecorderEvent():
                self._on_event(message, pcm)
            case envelope.Sentence():
                self._on_sentence(message)
            case envelope.Drained():
                self._on_drained(message)

    def _session_at(self, key: bytes, instance: str, epoch: int) -> Session | None:
        """The session, if that is the instance, and the placement, that serves it now."""
        session = self.sessions.get(key)
        if session is None or session.is_rejected():
            return None
        if session.transcriber != instance or session.epoch != epoch:
            return None
        return session

    def _on_ack(self, instance: str, ack: envelope.Ack) -> None:
        session = self._session_at(ack.session, instance, ack.epoch)
        if session is None or session.link is not Link.OPEN:
            return
        if ack.sentences > session.sentences_heard:  # the commit would cover what was lost
            self.placement.place_again(session, "a sentence of it was lost")
            return
        self.metrics.gaps.inc(len(ack.gaps))
        retained = session.window.retained_bytes
        moved = session.acknowledge(ack)
        self._retained_bytes -= retained - session.window.retained_bytes
        if moved:
            if session.window.to_send() is not None:
                self._queue.add(session.id)
            self._progress(session)

    def _on_event(self, event: envelope.RecorderEvent, pcm: bytes) -> None:
        session = self._session_at(event.session, event.instance, event.epoch)
        if session is None:
            return
        if event.type == "realtime":
            session.deliver(Realtime(event.text))
        elif event.type in STOCK_EVENT_TYPES and session.is_new(event.type, event.at_sample):
            if event.type == "transcription_start":
                session.deliver(TranscriptionStart.of(pcm))
            else:
                session.deliver(Notice(event.type))

    def _on_sentence(self, sentence: envelope.Sentence) -> None:
        session = self._session_at(sentence.session, sentence.instance, sentence.epoch)
        if session is None:
            return
        session.sentences_heard += 1
        if not session.sentence(sentence.text, sentence.end_sample, sentence.commit.seq):
            self.metrics.duplicate_sentences.inc()
        elif sentence.error:
            session.deliver(Error("transcription_failed", sentence.error, "continue"))
        elif sentence.text:
            self.metrics.sentences.inc()
        retained = session.window.retained_bytes
        session.commit(sentence.commit)
        self._retained_bytes -= retained - session.window.retained_bytes

    def _on_drained(self, drained: envelope.Drained) -> None:
        session = self._session_at(drained.session, drained.instance, drained.epoch)
        if session is not None and session.finishing:
            session.drained = True
            self.end_if_done(session)

    def end_if_done(self, session: Session) -> None:
        """End a session that was transcribed to its end, unless verdicts are still on their way."""
        if session.window.judged < session.window.next_seq:
            return
        if session.wants_events:
            session.deliver(session.report())
            if session.said_end:
                session.deliver(End())
        callback = self.on_end.get(session.id)
        if callback is not None:
            callback()

    # -- time ----------------------------------------------------------------------------------

    def beat(self) -> None:
        """Every heartbeat: give up the silent, repeat what may have been lost."""
        now_s = time.monotonic()
        self.placement.beat(now_s)
        self._expire_verifiers(now_s)
        for session in self.sessions.values():
            if session.finishing and not session.drained:
                self._send_finish(session)
        self.metrics.retained.set(self._retained_bytes)

    def expire(self) -> None:
        """Several times a second: queue frames that made no progress for sending again."""
        now_s = time.monotonic()
        for session in self.sessions.values():
            if (
                session.link is Link.OPEN
                and not session.is_rejected()
                and session.window.expire(now_s)
            ):
                self._queue.add(session.id)
        if not self._outlet.blocked:
            self._queue.pump()

    def _expire_verifiers(self, now_s: float) -> None:
        patience_s = VERIFIER_TIMEOUT_BEATS * self.settings.heartbeat_s
        for name, heard_s in list(self.verifiers.items()):
            if now_s - heard_s > patience_s:
                del self.verifiers[name]
                log.warning("verifier %s fell silent", name)
        self.metrics.verifiers.set(len(self.verifiers))

    # -- shared --------------------------------------------------------------------------------

    def _progress(self, session: Session) -> None:
        callback = self.on_progress.get(session.id)
        if callback is not None:
            callback()

    def close(self) -> None:
        """Stop reading and sending; the links are closed by their owner."""
        for inbox in self._inboxes:
            inbox.close()
        self.placement.close()
        self._outlet.close()
