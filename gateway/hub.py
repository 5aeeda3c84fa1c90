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

from common import envelope as ev
from common.errors import EnvelopeError, SettingsError
from common.events import (
    STOCK_EVENT_TYPES,
    End,
    Error,
    Notice,
    Realtime,
    RetentionLimited,
    TranscriberChanged,
    TranscriptionStart,
)
from common.links import End as LinkEnd
from common.links import Inbox, Links, Outlet, Parts
from common.logs import LogBudget
from common.settings import GatewaySettings
from gateway.commands import CommandChannel
from gateway.dispatch import FairQueue
from gateway.metrics import GatewayMetrics
from gateway.rejection import RejectionPolicy
from gateway.session import Link, Session
from gateway.transcribers import Transcriber, TranscriberRegistry

log = logging.getLogger(__name__)

VERIFIER_TIMEOUT_BEATS: Final = 6


class Hub:
    """The sessions of one gateway and their way through the pipeline."""

    def __init__(self, settings: GatewaySettings, links: Links, metrics: GatewayMetrics) -> None:
        self.id = secrets.token_hex(8)
        self.settings = settings
        self.policy = RejectionPolicy.of(settings)
        self.metrics = metrics
        self.sessions: dict[bytes, Session] = {}
        self.transcribers = TranscriberRegistry(settings.peer_timeout_s)
        self.verifiers: dict[str, float] = {}
        self.on_progress: dict[bytes, Callable[[], None]] = {}
        self.on_end: dict[bytes, Callable[[], None]] = {}
        self._links = links
        self._frames = links.open(LinkEnd.FRAMES_OUT, settings.endpoint("frames"))
        verdicts = links.open(LinkEnd.VERDICTS_IN, settings.endpoint("verdicts"))
        verdicts.setsockopt(zmq.SUBSCRIBE, self.id.encode())
        results = links.open(LinkEnd.RESULTS_IN, settings.endpoint("results"))
        self._queue: FairQueue[bytes] = FairQueue(self._send_one)
        self._outlet = Outlet(self._frames, self._queue.pump)
        self._inboxes = [
            Inbox(verdicts, self._on_verdict_messages),
            Inbox(results, self._on_result_messages),
        ]
        self._channels: dict[str, CommandChannel] = {}
        self._opened_at_s: dict[bytes, float] = {}
        self._retained_bytes = 0
        self._bad_envelopes = LogBudget(3, 0.1)
        self._retention_log = LogBudget(5, 0.1)

    # -- sessions ------------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """Take in a new session and find it a transcriber."""
        self.sessions[session.id] = session
        self.metrics.sessions.set(len(self.sessions))
        self._assign(session)

    def remove(self, session: Session) -> None:
        """Forget a session; its recorder is dropped."""
        if self.sessions.pop(session.id, None) is None:
            return
        self._retained_bytes -= session.window.retained_bytes
        self._queue.remove(session.id)
        self.on_progress.pop(session.id, None)
        self.on_end.pop(session.id, None)
        self._opened_at_s.pop(session.id, None)
        channel = self._channels.get(session.transcriber or "")
        if channel is not None:
            channel.send(ev.Close(session.id))
        self.transcribers.release(session.id, session.transcriber)
        self.metrics.sessions.set(len(self.sessions))
        self._retry_waiting()

    def channel_of(self, session: Session) -> CommandChannel | None:
        """The command link to a session's transcriber while the session is open there."""
        return self._channels.get(session.transcriber or "") if session.link is Link.OPEN else None

    @property
    def not_ready(self) -> str:
        """What the pipeline lacks; "" when it can transcribe."""
        missing = [
            name
            for name, there in (("verifier", self.verifiers), ("transcriber", self.transcribers))
            if not there
        ]
        return f"no {' and no '.join(missing)} yet" if missing else ""

    # -- frames out ----------------------------------------------------------------------------

    def accept(self, session: Session, message: bytes) -> None:
        """Take in a client's frame and send it on as soon as the links allow."""
        window = session.window
        window.accept(message, time.monotonic(), time.time_ns())
        size = len(message)
        self._retained_bytes += size
        self.metrics.frames.inc()
        self.metrics.bytes.inc(size)
        if session.link is Link.OPEN:
            self._queue.add(session.id)
            if not self._outlet.blocked:
                self._queue.pump()
        if (
            window.retained_bytes > self.settings.retain_session_bytes
            or self._retained_bytes > self.settings.retain_total_bytes
        ):
            self._limit_retention(session)

    def finish(self, session: Session) -> None:
        """The client sends no more: transcribe what there is, then call its ``on_end``."""
        session.finishing = True
        self._send_finish(session)

    def _send_finish(self, session: Session) -> None:
        channel = self.channel_of(session)
        if channel is not None:
            channel.send(ev.Finish(session.id, session.window.next_seq))

    def _send_one(self, key: bytes) -> bool | None:
        session = self.sessions.get(key)
        if session is None or session.link is not Link.OPEN or session.is_rejected():
            return None
        transcriber = self.transcribers.get(session.transcriber)
        seq = session.window.to_send()
        if seq is None or transcriber is None:
            return None
        frame = session.window.frame(seq)
        assert frame is not None
        header = ev.pack(
            ev.Frame(
                gateway=self.id,
                session=key,
                seq=seq,
                received_ns=frame.received_ns,
                audio_endpoint=transcriber.hello.audio_endpoint,
                policy=self.policy.bits,
            )
        )
        if not self._outlet.send((header, frame.message)):
            return False
        if frame.attempts:
            self.metrics.retransmissions.inc()
        session.window.sent(seq, time.monotonic())
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
        if session.wants_events and not session.retention_exceeded:
            session.deliver(
                RetentionLimited(
                    scope,
                    window.retained_bytes,
                    "audio before the last "
                    f"{window.retained_bytes} bytes could not be replayed after a crash",
                )
            )
        session.retention_exceeded = True
        if self._retention_log.allow(time.monotonic()):
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
        for parts in messages:
            try:
                self._on_verdict_message(ev.unpack(parts[-1]), now_s)
            except EnvelopeError as error:
                self._drop("verdicts", error)

    def _on_verdict_message(self, message: ev.Message, now_s: float) -> None:
        match message:
            case ev.VerdictBatch():
                self._on_verdicts(message.verdicts, now_s)
            case ev.VerifierHello():
                self._hear_verifier(message, now_s)
            case _:
                raise EnvelopeError(f"{type(message).__name__} does not belong on this link")

    def _hear_verifier(self, hello: ev.VerifierHello, now_s: float) -> None:
        if hello.draining:
            self.verifiers.pop(hello.verifier, None)
        else:
            if hello.verifier not in self.verifiers:
                log.info("verifier %s joined", hello.verifier)
            self.verifiers[hello.verifier] = now_s
        self.metrics.verifiers.set(len(self.verifiers))

    def _on_verdicts(self, verdicts: Iterable[ev.Verdict], now_s: float) -> None:
        for verdict in verdicts:
            session = self.sessions.get(verdict.session)
            if session is None or session.is_rejected():
                continue
            before = session.window.judged
            held = session.window.frame(verdict.seq)
            if held is not None and not held.judged:
                self.metrics.verdicts.labels(ev.Code(verdict.code).name.lower()).inc()
                self.metrics.verdict_latency.observe(now_s - held.received_s)
            retained = session.window.retained_bytes
            session.judge(verdict, now_s)
            self._retained_bytes -= retained - session.window.retained_bytes
            if session.is_rejected():
                self.metrics.rejections.inc()
                self._queue.remove(session.id)
                self._progress(session)
            elif session.window.judged != before and session.drained:
                self._end_if_done(session)

    # -- results in ----------------------------------------------------------------------------

    def _on_result_messages(self, messages: list[Parts]) -> None:
        now_s = time.monotonic()
        for parts in messages:
            try:
                self._on_result(ev.unpack(parts[0]), parts[1:], now_s)
            except EnvelopeError as error:
                self._drop("results", error)
        self._queue.pump()

    def _on_result(self, message: ev.Message, extra: Parts, now_s: float) -> None:
        match message:
            case ev.TranscriberHello():
                self._hear_transcriber(message, now_s)
            case ev.AckBatch():
                for ack in message.acks:
                    self._on_ack(message.instance, ack)
            case ev.RecorderEvent():
                self._on_event(message, extra)
            case ev.Sentence():
                self._on_sentence(message)
            case ev.Drained():
                self._on_drained(message)
            case _:
                raise EnvelopeError(f"{type(message).__name__} does not belong on this link")

    def _session_at(self, key: bytes, instance: str) -> Session | None:
        """The session, if that instance is the one that serves it now."""
        session = self.sessions.get(key)
        if session is None or session.transcriber != instance or session.is_rejected():
            return None
        return session

    def _on_ack(self, instance: str, ack: ev.Ack) -> None:
        session = self._session_at(ack.session, instance)
        if session is None or session.link is not Link.OPEN:
            return
        self.metrics.gaps.inc(len(ack.gaps))
        retained = session.window.retained_bytes
        moved = session.acknowledge(ack)
        self._retained_bytes -= retained - session.window.retained_bytes
        if moved:
            if session.window.to_send() is not None:
                self._queue.add(session.id)
            self._progress(session)

    def _on_event(self, event: ev.RecorderEvent, extra: Parts) -> None:
        session = self._session_at(event.session, event.instance)
        if session is None:
            return
        if event.type == "realtime":
            session.deliver(Realtime(event.text))
        elif event.type in STOCK_EVENT_TYPES and session.is_new(event.type, event.at_sample):
            if event.type == "transcription_start":
                session.deliver(TranscriptionStart.of(extra[0] if extra else b""))
            else:
                session.deliver(Notice(event.type))

    def _on_sentence(self, sentence: ev.Sentence) -> None:
        session = self._session_at(sentence.session, sentence.instance)
        if session is None:
            return
        if not session.sentence(sentence.text, sentence.end_sample):
            self.metrics.duplicate_sentences.inc()
        elif sentence.error:
            session.deliver(Error("transcription_failed", sentence.error, "continue"))
        elif sentence.text:
            self.metrics.sentences.inc()
        retained = session.window.retained_bytes
        session.window.commit_to(sentence.commit)
        self._retained_bytes -= retained - session.window.retained_bytes

    def _on_drained(self, drained: ev.Drained) -> None:
        session = self._session_at(drained.session, drained.instance)
        if session is not None and session.finishing:
            session.drained = True
            self._end_if_done(session)

    def _end_if_done(self, session: Session) -> None:
        """Everything was transcribed; the last verdicts may still be on their way."""
        if session.window.judged < session.window.next_seq:
            return
        if session.wants_events:
            session.deliver(session.report())
            session.deliver(End())
        callback = self.on_end.get(session.id)
        if callback is not None:
            callback()

    # -- transcribers --------------------------------------------------------------------------

    def _hear_transcriber(self, hello: ev.TranscriberHello, now_s: float) -> None:
        heard = self.transcribers.hear(hello, now_s)
        if heard.is_new:
            log.info(
                "transcriber %s joined (engine %s, up to %d sessions)",
                hello.instance,
                hello.engine,
                hello.max_sessions,
            )
            try:
                self._channels[hello.instance] = CommandChannel(
                    self._links, hello.commands_endpoint, self._on_opened
                )
            except SettingsError as error:
                log.error("transcriber %s cannot be used: %s", hello.instance, error)
                self.transcribers.forget(hello.instance)
                return
            self._retry_waiting()
        elif heard.starts_draining:
            self._move_all(self.transcribers.get(hello.instance), "drains")
        self.metrics.transcribers.set(len(self.transcribers))

    def _assign(self, session: Session) -> None:
        transcriber = self.transcribers.choose(session.id)
        if transcriber is None:
            session.link = Link.WAITING
            session.transcriber = None
            if session.wants_events:
                session.deliver(TranscriberChanged("waiting"))
            return
        session.transcriber = transcriber.hello.instance
        session.link = Link.OPENING
        self._send_open(session)

    def _send_open(self, session: Session) -> None:
        self._opened_at_s[session.id] = time.monotonic()
        channel = self._channels[session.transcriber or ""]
        channel.send(
            ev.Open(
                gateway=self.id,
                session=session.id,
                start=session.window.replay_start,
                window_frames=session.window.limit,
                parameters=session.parameters,
                tolerated=self.policy.limit,
                failures=session.failures_before_replay,
            )
        )

    def _on_opened(self, opened: ev.Opened) -> None:
        session = self.sessions.get(opened.session)
        if (
            session is None
            or session.transcriber != opened.instance
            or session.link is not Link.OPENING
        ):
            return
        if opened.error:
            log.warning("transcriber %s refuses a session: %s", opened.instance, opened.error)
            self.transcribers.release(session.id, session.transcriber)
            session.link, session.transcriber = Link.WAITING, None
            return
        self._opened_at_s.pop(session.id, None)
        session.link = Link.OPEN
        replayed = session.window.reopen()
        if session.was_open:
            session.replays += 1
            self.metrics.replays.inc()
            self.metrics.replayed_frames.inc(replayed)
            log.info("client %s: session re-opened, %d frames replayed", session.peer, replayed)
        if session.wants_events:
            session.deliver(TranscriberChanged("open", replayed))
        session.was_open = True
        self._queue.add(session.id)
        self._queue.pump()
        if session.finishing:
            self._send_finish(session)

    def _move_all(self, transcriber: Transcriber | None, why: str) -> None:
        """Take the sessions of an instance to others, where there are any."""
        if transcriber is None:
            return
        instance = transcriber.hello.instance
        movable = [self.sessions[key] for key in transcriber.assigned if key in self.sessions]
        log.warning("transcriber %s %s; %d sessions move", instance, why, len(movable))
        for session in movable:
            if transcriber.hello.draining and not self.transcribers.has_room:
                continue  # it finishes what it can; the rest is replayed when it is gone
            self.transcribers.release(session.id, instance)
            self._queue.remove(session.id)
            channel = self._channels.get(instance)
            if channel is not None:
                channel.send(ev.Close(session.id))
            self._assign(session)

    def _retry_waiting(self) -> None:
        for session in self.sessions.values():
            if session.link is Link.WAITING and not session.is_rejected():
                if not self.transcribers.has_room:
                    return
                self._assign(session)

    # -- time ----------------------------------------------------------------------------------

    def beat(self) -> None:
        """Every heartbeat: tell transcribers which sessions live, give up the silent ones."""
        now_s = time.monotonic()
        for dead in self.transcribers.expire(now_s):
            channel = self._channels.pop(dead.hello.instance, None)
            self._move_all(dead, "fell silent")
            if channel is not None:
                channel.close()
        self._expire_verifiers(now_s)
        self._retry_opening(now_s)
        self._retry_waiting()
        for session in self.sessions.values():
            if session.finishing and not session.drained:
                self._send_finish(session)
        for transcriber in self.transcribers.all():
            channel = self._channels[transcriber.hello.instance]
            channel.send(ev.Ping(self.id, list(transcriber.assigned)))
        self.metrics.retained.set(self._retained_bytes)
        self.metrics.transcribers.set(len(self.transcribers))

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

    def _retry_opening(self, now_s: float) -> None:
        for session in self.sessions.values():
            if session.link is Link.OPENING:
                asked_s = self._opened_at_s.get(session.id, 0.0)
                if now_s - asked_s > self.settings.peer_timeout_s:
                    self._send_open(session)

    # -- shared --------------------------------------------------------------------------------

    def _progress(self, session: Session) -> None:
        callback = self.on_progress.get(session.id)
        if callback is not None:
            callback()

    def _drop(self, link: str, error: EnvelopeError) -> None:
        self.metrics.bad_envelopes.labels(link).inc()
        if self._bad_envelopes.allow(time.monotonic()):
            log.error("dropped a message of the %s link: %s", link, error)

    def close(self) -> None:
        """Stop reading and sending; the links are closed by their owner."""
        for inbox in self._inboxes:
            inbox.close()
        for channel in self._channels.values():
            channel.close()
        self._outlet.close()
