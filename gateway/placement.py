"""Which transcriber serves which session: assigning, opening, moving, and hearing who lives."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from common import envelope
from common.errors import SettingsError
from common.events import TranscriberChanged
from common.links import Links
from common.receiver import Receiver
from common.settings import GatewaySettings
from gateway.commands import CommandChannel
from gateway.metrics import GatewayMetrics
from gateway.rejection import RejectionPolicy
from gateway.session import Link, Session
from gateway.transcribers import Transcriber, TranscriberRegistry

log = logging.getLogger(__name__)


class Placement:
    """Keeps every session with a live transcriber, as far as there is room.

    Args:
        sessions: all sessions of the gateway, by id; only read.
        policy: what verifiers and recorders are told to do about corrupt frames.
        on_open: called when a session has a recorder that waits for frames.
    """

    def __init__(
        self,
        gateway_id: str,
        settings: GatewaySettings,
        links: Links,
        metrics: GatewayMetrics,
        sessions: Mapping[bytes, Session],
        policy: RejectionPolicy,
        on_open: Callable[[Session], None],
    ) -> None:
        self.registry = TranscriberRegistry(settings.peer_timeout_s)
        self._gateway_id = gateway_id
        self._settings = settings
        self._links = links
        self._metrics = metrics
        self._sessions = sessions
        self._policy = policy
        self._on_open = on_open
        self._channels: dict[str, CommandChannel] = {}
        self._replies = Receiver(
            "commands", envelope.unpack_replies, metrics.bad_envelopes.labels("commands").inc
        )
        self._asked_s: dict[bytes, float] = {}
        self._epoch = 0
        self._beat_s: float | None = None

    def channel_of(self, session: Session) -> CommandChannel | None:
        """The command link to a session's transcriber while the session is open there."""
        return self._channels.get(session.transcriber or "") if session.link is Link.OPEN else None

    def apply_parameters(self, session: Session) -> None:
        """Send a session's parameters to its recorder, if it has one already."""
        channel = self.channel_of(session)
        if channel is None:
            return
        for name, value in session.parameters.items():
            channel.send(
                envelope.SetParameter(0, session.id, name, value)
            )  # the reply is not awaited

    def hear(self, hello: envelope.TranscriberHello, now_s: float) -> None:
        """A transcriber's heartbeat: a new one takes what waits, a draining one gives away."""
        heard = self.registry.hear(hello, now_s)
        if heard.is_new:
            self._welcome(hello)
        elif heard.starts_draining:
            transcriber = self.registry.get(hello.instance)
            assert transcriber is not None
            self._move_all(transcriber, "drains")
        self._metrics.transcribers.set(len(self.registry))

    def _welcome(self, hello: envelope.TranscriberHello) -> None:
        try:
            channel = CommandChannel(
                self._links,
                hello.commands_endpoint,
                self._replies,
                self._on_opened,
                lambda: self._lose(hello.instance, "is gone"),
            )
        except SettingsError as error:
            log.error("transcriber %s cannot be used: %s", hello.instance, error)
            self.registry.forget(hello.instance)
            return
        self._channels[hello.instance] = channel
        log.info(
            "transcriber %s joined (engine %s, up to %d sessions)",
            hello.instance,
            hello.engine,
            hello.max_sessions,
        )
        self._retry_waiting()

    def assign(self, session: Session) -> None:
        """Find a session a transcriber; without one it waits, its frames retained."""
        transcriber = self.registry.choose(session.id, avoid=session.refused_by)
        if transcriber is None:
            transcriber = self.registry.choose(session.id)
        if transcriber is None:
            session.link = Link.WAITING
            session.transcriber = None
            if session.wants_events:
                session.deliver(TranscriberChanged("waiting"))
            return
        session.transcriber = transcriber.hello.instance
        session.link = Link.OPENING
        self._epoch += 1
        session.epoch = self._epoch
        session.sentences_heard = 0
        self._send_open(session)

    def place_again(self, session: Session, why: str) -> None:
        """Give a session a fresh recorder, which hears again what is not committed."""
        log.warning("client %s: %s", session.peer, why)
        self._leave(session)
        self.assign(session)

    def remove(self, session: Session) -> None:
        """A session is gone: its recorder is dropped, and its place given to one that waits."""
        self._leave(session)
        self._retry_waiting()

    def beat(self, now_s: float) -> None:
        """Every heartbeat: give up the silent, ask again, and tell which sessions live."""
        # After a pause of our own, what they said meanwhile has to be read first.
        late = self._beat_s is not None and now_s - self._beat_s > 2 * self._settings.heartbeat_s
        self._beat_s = now_s
        for silent in () if late else self.registry.silent(now_s):
            self._lose(silent.hello.instance, "fell silent")
        for session in self._sessions.values():
            asked_s = self._asked_s.get(session.id, now_s)
            if session.link is Link.OPENING and now_s - asked_s > self._settings.peer_timeout_s:
                self._send_open(session)
        self._retry_waiting()
        for transcriber in self.registry.all():
            ping = envelope.Ping(self._gateway_id, list(transcriber.assigned), self._epoch)
            self._channels[transcriber.hello.instance].send(ping)
        self._metrics.transcribers.set(len(self.registry))

    def close(self) -> None:
        """Close all command links."""
        for channel in self._channels.values():
            channel.close()

    def _send_open(self, session: Session) -> None:
        self._asked_s[session.id] = time.monotonic()
        self._channels[session.transcriber or ""].send(
            envelope.Open(
                gateway=self._gateway_id,
                session=session.id,
                start=session.window.replay_start,
                window_frames=session.window.limit,
                parameters=session.parameters,
                tolerated=self._policy.limit,
                failures=session.failures_before_replay,
                epoch=session.epoch,
            )
        )

    def _on_opened(self, opened: envelope.Opened) -> None:
        session = self._sessions.get(opened.session)
        if session is None or session.transcriber != opened.instance:
            return
        if opened.error:
            if opened.epoch >= session.epoch:
                log.warning("transcriber %s refuses a session: %s", opened.instance, opened.error)
                session.refused_by = opened.instance
                self._leave(session)
                session.link, session.transcriber = Link.WAITING, None
            return
        if session.link is not Link.OPENING or opened.epoch != session.epoch:
            return
        transcriber = self.registry.get(opened.instance)
        assert transcriber is not None
        self._asked_s.pop(session.id, None)
        session.link = Link.OPEN
        session.refused_by = None
        session.audio_endpoint = transcriber.hello.audio_endpoint
        replayed, session.to_replay = session.to_replay, 0
        if session.was_open:
            session.replays += 1
            self._metrics.replays.inc()
            self._metrics.replayed_frames.inc(replayed)
            log.info("client %s: session re-opened, %d frames replayed", session.peer, replayed)
        session.was_open = True
        if session.wants_events:
            session.deliver(TranscriberChanged("open", replayed))
        self._on_open(session)

    def _lose(self, instance: str, why: str) -> None:
        """An instance is dead, or as good as; if it speaks again it counts as a new one."""
        dead = self.registry.forget(instance)
        channel = self._channels.pop(instance, None)
        if dead is not None:
            self._move_all(dead, why)
        if channel is not None:
            channel.close()
        self._metrics.transcribers.set(len(self.registry))

    def _move_all(self, transcriber: Transcriber, why: str) -> None:
        """Take the sessions of an instance to others, where there are any."""
        instance = transcriber.hello.instance
        movable = [self._sessions[key] for key in transcriber.assigned if key in self._sessions]
        log.warning("transcriber %s %s; it has %d sessions", instance, why, len(movable))
        for session in movable:
            still_works = self.registry.get(instance) is not None
            if still_works and not self.registry.has_room:
                return  # it finishes what it can; the rest is replayed when it is gone
            self._leave(session)
            self.assign(session)

    def _leave(self, session: Session) -> None:
        # From here on nothing may be given up that the next recorder has to be sent.
        session.to_replay += session.window.reopen()
        self._asked_s.pop(session.id, None)
        session.audio_endpoint = ""
        channel = self._channels.get(session.transcriber or "")
        if channel is not None:
            channel.send(envelope.Close(session.id))
        self.registry.release(session.id, session.transcriber)

    def _retry_waiting(self) -> None:
        if not self.registry.has_room:
            return
        for session in self._sessions.values():
            if session.link is Link.WAITING and not session.is_rejected():
                self.assign(session)
