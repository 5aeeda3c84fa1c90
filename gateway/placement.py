"""Which transcriber serves which session: assigning, opening, moving, and hearing who lives."""

from __future__ import annotations

import logging
import time
from typing import Final

from common import envelope
from common.addresses import Names, target_of
from common.errors import CloseCode, SettingsError
from common.events import Error, TranscriberChanged
from common.links import Links
from common.logs import LogBudget
from common.receiver import Receiver
from common.settings import GatewaySettings
from common.stamps import Hop
from gateway.clients import Clients
from gateway.commands import CommandChannel
from gateway.frames_out import FramesOut
from gateway.metrics import GatewayMetrics
from gateway.overload import Overloads
from gateway.rejection import RejectionPolicy
from gateway.seat import NOWHERE, SeatState
from gateway.session import Session
from gateway.transcribers import Transcriber, TranscriberRegistry

log = logging.getLogger(__name__)

WAITING_LINES_PER_S: Final = 1 / 30


class Placement:
    """Keeps every session with a live transcriber, as far as there is room.

    Args:
        clients: all sessions of the gateway.
        policy: what verifiers and recorders are told to do about corrupt frames.
        frames_out: sends the frames of a session that has a recorder.
    """

    def __init__(
        self,
        gateway_id: str,
        settings: GatewaySettings,
        links: Links,
        metrics: GatewayMetrics,
        clients: Clients,
        policy: RejectionPolicy,
        frames_out: FramesOut,
    ) -> None:
        self.registry = TranscriberRegistry(
            settings.peer_timeout_s, settings.retransmit_min_s, settings.retransmit_max_s
        )
        self.overloads = Overloads(settings.max_final_wait_s, settings.max_lag_s)
        self._gateway_id = gateway_id
        self._settings = settings
        self._links = links
        self._metrics = metrics
        self._clients = clients
        self._policy = policy
        self._frames_out = frames_out
        self.names = Names()
        self._complaints = LogBudget(3, 0.1)
        self._channels: dict[str, CommandChannel] = {}
        self._replies = Receiver(
            "commands",
            envelope.unpack_replies,
            metrics.bad_envelopes.labels("commands").inc,
            on_damage=metrics.damaged.labels(Hop.REPLIES).inc,
        )
        self._asked_s: dict[bytes, float] = {}
        self._in_line: dict[bytes, Session] = {}  # all that may be waiting for a recorder
        self._epoch = 0
        self._beat_s: float | None = None
        self._waiting_lately = 0
        self._waiting_lines = LogBudget(1, WAITING_LINES_PER_S)
        metrics.waiting_limit.set(settings.max_waiting)

    @property
    def remark(self) -> str:
        """Sessions that waited at the last heartbeat, and names that cannot be looked up."""
        waiting = self._waiting_lately
        waits = f"{waiting} session(s) wait for a recorder" if waiting else ""
        return "; ".join(filter(None, [waits, *self.names.problems]))

    def channel_of(self, session: Session) -> CommandChannel | None:
        """The command link to a session's transcriber while the session is open there."""
        return self._channels.get(session.seat.instance or "") if session.seat.is_open else None

    def apply_parameters(self, session: Session) -> None:
        """Send a session's parameters to its recorder, if it has one already."""
        channel = self.channel_of(session)
        if channel is None:
            return
        for name, value in session.parameters.items():
            channel.send(
                envelope.SetParameter(0, session.id, name, value)
            )  # the reply is not awaited

    def send_finish(self, session: Session) -> None:
        """Tell a session's recorder, if it has one, that no more frames follow."""
        channel = self.channel_of(session)
        if channel is not None:
            channel.send(envelope.Finish(session.id, session.window.next_seq))

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
                target_of(hello.commands_endpoint, self.names),
                self._replies,
                self._on_opened,
                lambda: self._lose(hello.instance, "is gone"),
            )
        except SettingsError as error:
            if self._complaints.allow(time.monotonic()):
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
        transcriber = self.registry.assign(session.id, avoid=session.seat.refused_by)
        if transcriber is None:
            self._in_line[session.id] = session
            if session.wants_events:
                self._clients.tell(session, TranscriberChanged("waiting"))
            return
        self._in_line.pop(session.id, None)
        self._epoch += 1
        session.seat = session.seat.assigned(transcriber.hello.instance, self._epoch)
        self._send_open(session)

    def wake(self, session: Session) -> None:
        """A session that rested needs a recorder now."""
        session.resting = False
        if session.seat.state is not SeatState.WAITING or session.is_rejected():
            return
        self._in_line.pop(session.id, None)  # it had no need until now: it begins to wait
        self.assign(session)
        if session.seat.state is SeatState.WAITING:
            self._give_back_idle(time.monotonic())
            self._retry_waiting()
        if session.seat is NOWHERE and len(self.waiting) > self._settings.max_waiting:
            self._turn_away(session)

    def _turn_away(self, session: Session) -> None:
        """A session that never had a recorder, and is one too many of those that wait for one."""
        attachment = self._clients.get(session.id)
        if attachment is None or attachment.client is None:
            return
        text = f"{self._settings.max_waiting} sessions wait for a recorder already; try later"
        self._metrics.busy.labels("waiting").inc()
        log.warning("client %s was turned away: %s", session.peer, text)
        attachment.client.deliver(Error("busy", text, "disconnect"))
        attachment.client.end(CloseCode.TRY_AGAIN_LATER, text)

    def place_again(self, session: Session, why: str) -> None:
        """Give a session a fresh recorder, which hears again what is not committed."""
        log.warning("client %s: %s", session.peer, why)
        self._leave(session)
        self.assign(session)

    def remove(self, session: Session) -> None:
        """A session is gone: its recorder is dropped, and its place given to one that waits."""
        self._leave(session)
        self._in_line.pop(session.id, None)
        self._retry_waiting()

    def beat(self, now_s: float) -> None:
        """Every heartbeat: give up the silent, ask again, and tell which sessions live."""
        # After a pause of our own, what they said meanwhile has to be read first.
        late = self._beat_s is not None and now_s - self._beat_s > 2 * self._settings.heartbeat_s
        self._beat_s = now_s
        for silent in () if late else self.registry.silent(now_s):
            self._lose(silent.hello.instance, "fell silent")
        for key, asked_s in list(self._asked_s.items()):
            if now_s - asked_s <= self._settings.peer_timeout_s:
                break  # in the order in which they were asked
            attachment = self._clients.get(key)
            if attachment and attachment.session.seat.state is SeatState.OPENING:
                self._send_open(attachment.session)
        self.overloads.hear(self.registry.final_wait_s, self.registry.lag_s, now_s)
        self._give_back_idle(now_s)
        self._retry_waiting()
        self._tell_of_waiting(now_s)
        for transcriber in self.registry.all():
            ping = envelope.Ping(
                self._gateway_id,
                list(transcriber.assigned),
                self._epoch,
                transcriber.hello.results,
            )
            self._channels[transcriber.hello.instance].send(ping)
        self._metrics.transcribers.set(len(self.registry))

    def close(self) -> None:
        """Close all command links."""
        for channel in self._channels.values():
            channel.close()

    def _send_open(self, session: Session) -> None:
        self._asked_s.pop(session.id, None)
        self._asked_s[session.id] = time.monotonic()
        transcriber = self.registry.get(session.seat.instance)
        self._channels[session.seat.instance or ""].send(
            envelope.Open(
                gateway=self._gateway_id,
                session=session.id,
                start=session.window.replay_start,
                window_frames=session.window.limit,
                parameters=session.parameters,
                tolerated=self._policy.limit,
                failures=session.failures_before_replay,
                epoch=session.seat.epoch,
                results=transcriber.hello.results if transcriber is not None else "",
            )
        )

    def _on_opened(self, opened: envelope.Opened) -> None:
        attachment = self._clients.get(opened.session)
        if attachment is None or attachment.session.seat.instance != opened.instance:
            return
        session, seat = attachment.session, attachment.session.seat
        if opened.error:
            if opened.epoch >= seat.epoch:
                log.warning("transcriber %s refuses a session: %s", opened.instance, opened.error)
                self._leave(session, refused_by=opened.instance)
                if session.wants_events and seat.refused_by is None:  # said once
                    self._clients.tell(session, TranscriberChanged("waiting"))
            return
        if seat.state is not SeatState.OPENING or opened.epoch != seat.epoch:
            return
        transcriber = self.registry.get(opened.instance)
        assert transcriber is not None
        self._asked_s.pop(session.id, None)
        session.seat = seat.opened(transcriber.hello.audio_endpoint)
        if seat.is_reopening:
            session.replays += 1
            self._metrics.replays.inc()
            self._metrics.replayed_frames.inc(seat.to_replay)
            log.info(
                "client %s: session re-opened, %d frames replayed", session.peer, seat.to_replay
            )
        if session.wants_events:
            self._clients.tell(session, TranscriberChanged("open", seat.to_replay))
        self._begin(session)

    def _begin(self, session: Session) -> None:
        """A session has a (new) recorder: send it what it needs."""
        self.apply_parameters(session)  # some may have been set since it was asked for
        self._frames_out.queue(session)
        self._frames_out.pump()
        if session.finishing:
            self.send_finish(session)
        self._clients.wake_lines(session)

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
        attached = [self._clients.get(key) for key in transcriber.assigned]
        movable = [attachment.session for attachment in attached if attachment is not None]
        log.warning("transcriber %s %s; it has %d sessions", instance, why, len(movable))
        for session in movable:
            still_works = self.registry.get(instance) is not None
            if still_works and not self.registry.has_room:
                return  # it finishes what it can; the rest is replayed when it is gone
            self._leave(session)
            self.assign(session)

    def _leave(self, session: Session, refused_by: str | None = None) -> None:
        # From here on nothing may be given up that the next recorder has to be sent.
        instance = session.seat.instance
        session.leave_seat(refused_by)
        self._asked_s.pop(session.id, None)
        self._in_line[session.id] = session
        channel = self._channels.get(instance or "")
        if channel is not None:
            channel.send(envelope.Close(session.id))
        self.registry.release(session.id, instance)

    @property
    def waiting(self) -> list[Session]:
        """Sessions that need a recorder and have none."""
        return [
            session
            for session in self._in_line.values()
            if session.seat.state is SeatState.WAITING
            and not session.resting
            and not session.is_rejected()
        ]

    def _retry_waiting(self) -> None:
        if not self.registry.has_room:
            return
        for session in self.waiting:
            self.assign(session)

    def _give_back_idle(self, now_s: float) -> None:
        """Let those that have sent nothing for a while give their recorders to those that wait."""
        waiting = len(self.waiting)
        if not waiting or self.registry.has_room:
            return
        before_s = now_s - self._settings.recorder_idle_s
        idle = [
            attachment.session
            for attachment in self._clients
            if attachment.session.active_s < before_s
            and attachment.session.seat.is_open
            and attachment.session.window.quiet
            and not attachment.session.finishing
        ]
        for session in sorted(idle, key=lambda session: session.active_s)[:waiting]:
            log.info("client %s is silent; its recorder goes to one that waits", session.peer)
            self._metrics.recorders_given_back.inc()
            session.resting = True
            self._leave(session)

    def _tell_of_waiting(self, now_s: float) -> None:
        waiting = self.waiting
        self._waiting_lately = len(waiting)
        self._metrics.waiting_sessions.set(len(waiting))
        if waiting and len(self.registry) and self._waiting_lines.allow(now_s):
            log.warning(
                "%d session(s) wait for a recorder, for all %d are taken; the first is %s",
                len(waiting),
                sum(t.hello.max_sessions for t in self.registry.all()),
                waiting[0].peer,
            )
