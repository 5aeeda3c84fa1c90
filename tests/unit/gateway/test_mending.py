"""What sessions ask for reaches their client, what came goes on, and all of it is counted."""

from __future__ import annotations

from typing import cast

from common.envelope import Code, OnCorruption, Verdict
from common.errors import CloseCode
from common.events import Resend
from common.wire import Metadata, build_message
from gateway.clients import Attachment, Clients
from gateway.frames_out import FramesOut
from gateway.healing import HealingLimits
from gateway.integrity_log import IntegrityLog
from gateway.mending import Mender
from gateway.metrics import GatewayMetrics
from gateway.outbox import Queued
from gateway.rejection import RejectionPolicy
from gateway.session import Session, SessionLimits

POLICY = RejectionPolicy(True, False, 0, OnCorruption.FORWARD)


class Client:
    peer = "10.0.0.1:5"
    address = "10.0.0.1"

    def __init__(self) -> None:
        self.events: list[Queued] = []
        self.looked = 0

    def deliver(self, event: Queued) -> None:
        self.events.append(event)

    def end(self, code: CloseCode, reason: str) -> None:
        """Not called."""

    def progress(self) -> None:
        self.looked += 1


class Out:
    """Where frames go: only who is to be looked at is noted."""

    def __init__(self) -> None:
        self.queued: list[Session] = []

    def queue(self, session: Session) -> None:
        self.queued.append(session)

    def pump(self) -> None:
        """Nothing is sent."""


class World:
    def __init__(self, *, resends: bool = True, timeout_s: float = 1.0) -> None:
        self.client, self.out, self.metrics = Client(), Out(), GatewayMetrics()
        clients = Clients()
        self.mender = Mender(clients, cast("FramesOut", self.out), self.metrics)
        limits = HealingLimits(1, timeout_s)
        self.session = Session(
            peer=self.client.peer,
            wants_events=True,
            policy=POLICY,
            limits=SessionLimits(8, 1 << 20, 0.25, 4.0),
            resends=(0, limits) if resends else None,
        )
        log = IntegrityLog(self.client.peer, POLICY, extended=False, summary_s=10)
        self.attachment = Attachment(self.session, log, self.client)
        clients.add(self.attachment, 0.0)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stt_gateway_{name}_total")

    def arrives(self, number: int) -> None:
        message = build_message(Metadata(sample_rate=16_000, audio_sequence=number), b"")
        self.mender.accept(self.attachment, message)

    def verdict(self, code: Code) -> Verdict:
        return Verdict(self.session.id, 0, code, 1, 1, 0, 0, 16_000)


def test_a_corrupt_frame_is_asked_for_and_its_verdict_does_not_count() -> None:
    world = World()
    world.arrives(0)
    world.session.window.sent(0, 0.0)
    assert not world.mender.takes(world.attachment, world.verdict(Code.OK), 0.0)
    looked = world.client.looked
    assert world.mender.takes(world.attachment, world.verdict(Code.CORRUPT), 0.0)
    assert world.client.events == [Resend(0, 1)]
    assert world.client.looked > looked, "a full window has room for the answer"
    assert world.value("resend_requests") == 1
    world.arrives(0)
    assert world.session.window.to_send() == 0
    assert world.session in world.out.queued


def test_missing_frames_are_asked_for_and_given_up_in_time() -> None:
    world = World(timeout_s=0.0)
    world.arrives(1)
    assert world.client.events == [Resend(0, 1)]
    world.mender.expire(1e12)
    assert world.value("unhealed_frames") == 1
    frame = world.session.window.frame(0)
    assert frame is not None
    assert frame.is_missing


def test_repetitions_are_refused_and_counted() -> None:
    world = World()
    world.arrives(0)
    world.arrives(0)
    refused = world.metrics.registry.get_sample_value(
        "stt_gateway_frames_refused_total", {"reason": "repeated"}
    )
    assert refused == 1


def test_the_end_and_the_return_of_a_client_repeat_what_is_missing() -> None:
    world = World()
    world.mender.end(world.attachment, 1)
    assert world.client.events == [Resend(0, 1)]
    assert world.session.healing is not None
    world.session.healing.suspend()
    world.mender.resumed(world.attachment)
    assert world.client.events == [Resend(0, 1)] * 2


def test_who_did_not_promise_to_resend_is_never_asked() -> None:
    world = World(resends=False)
    world.arrives(1)
    world.mender.end(world.attachment, 5)
    world.mender.expire(1e12)
    world.mender.resumed(world.attachment)
    assert not world.mender.takes(world.attachment, world.verdict(Code.CORRUPT), 0.0)
    assert world.client.events == []
