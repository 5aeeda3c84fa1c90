"""A placement with its sessions, and stand-ins for transcribers and their links."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from common import envelope
from common.addresses import Target
from common.errors import SettingsError
from common.links import Links
from common.settings import GatewaySettings
from gateway.clients import Attachment, Clients
from gateway.frames_out import FramesOut
from gateway.integrity_log import IntegrityLog
from gateway.metrics import GatewayMetrics
from gateway.placement import Placement
from gateway.rejection import RejectionPolicy
from gateway.seat import SeatState
from gateway.session import Session, SessionLimits
from tests.unit.gateway.fake_client import FakeClient

POLICY = RejectionPolicy(True, True, 5, envelope.OnCorruption.SILENCE)
PEER_TIMEOUT_S = 3.0
IDLE_S = 10.0


class FakeChannel:
    """Stands in for a command link: keeps what is sent."""

    def __init__(
        self,
        links: Links,
        where: Target,
        replies: object,
        on_opened: Callable[[envelope.Opened], None],
        on_gone: Callable[[], None],
    ) -> None:
        if where.endpoint == "nonsense":
            raise SettingsError("cannot connect to nonsense")
        self.sent: list[envelope.Message] = []
        self.on_opened = on_opened
        self.on_gone = on_gone
        self.closed = False

    def send(self, message: envelope.Message) -> None:
        assert not self.closed
        self.sent.append(message)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class FakeFramesOut:
    """Stands in for the frames link: keeps whose turn it is."""

    def __init__(self) -> None:
        self.queued: list[Session] = []

    def queue(self, session: Session) -> None:
        self.queued.append(session)

    def pump(self) -> None:
        pass


class Gateway:
    """A placement with its sessions, and transcribers that answer when told to.

    Args:
        settings: of the gateway.
    """

    def __init__(self, links: Links, **settings: Any) -> None:
        self.metrics = GatewayMetrics()
        self.clients = Clients()
        self.client_end = FakeClient()
        self.events = self.client_end.events
        frames_out = FakeFramesOut()
        self.opened = frames_out.queued
        self.placement = Placement(
            "gateway",
            GatewaySettings(peer_timeout_s=PEER_TIMEOUT_S, recorder_idle_s=IDLE_S, **settings),
            links,
            self.metrics,
            self.clients,
            POLICY,
            cast(FramesOut, frames_out),
        )
        self.now_s = time.monotonic()

    def transcriber(
        self, instance: str, *, room: int = 10, draining: bool = False, endpoint: str = ""
    ) -> None:
        """A heartbeat."""
        hello = envelope.TranscriberHello(
            instance=instance,
            pid=1,
            audio_endpoint=f"ipc://audio-{instance}",
            commands_endpoint=endpoint or f"ipc://commands-{instance}",
            engine="null",
            sessions=0,
            max_sessions=room,
            draining=draining,
        )
        self.placement.hear(hello, self.now_s)

    def client(self, *, speaks: bool = True) -> Session:
        """A session that wants a recorder, if it speaks."""
        session = Session(
            peer="peer",
            wants_events=True,
            policy=POLICY,
            limits=SessionLimits(64, 4 << 20, 0.25, 4.0),
        )
        log = IntegrityLog("peer", POLICY, extended=False, summary_s=10)
        self.clients.add(Attachment(session, log, self.client_end), self.now_s)
        session.active_s = self.now_s
        if speaks:
            self.placement.wake(session)
        return session

    def channel(self, instance: str) -> FakeChannel:
        found = self.placement._channels[instance]
        assert isinstance(found, FakeChannel)
        return found

    def opens(self, instance: str) -> list[envelope.Open]:
        return [m for m in self.channel(instance).sent if isinstance(m, envelope.Open)]

    def answer(self, session: Session, error: str = "") -> None:
        """The transcriber answers a session's latest Open."""
        instance = session.seat.instance
        assert instance is not None
        self.channel(instance).on_opened(
            envelope.Opened(instance, session.id, error, session.seat.epoch)
        )

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stt_gateway_{name}", labels)


def link_of(session: Session) -> SeatState:
    return session.seat.state


def send_frames(session: Session, count: int) -> None:
    for _ in range(count):
        session.window.sent(session.window.accept(b"message", 0.0, 0), 0.0)
