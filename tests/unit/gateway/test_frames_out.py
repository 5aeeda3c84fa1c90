"""Frames leave together with what waits with them, in turn, and only with a recorder to go to."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from common import envelope
from common.envelope import RUN_BYTES
from common.links import Links
from common.settings import GatewaySettings
from gateway.clients import Attachment, Clients
from gateway.frames_out import FramesOut
from gateway.integrity_log import IntegrityLog
from gateway.metrics import GatewayMetrics
from gateway.rejection import RejectionPolicy
from gateway.session import Session, SessionLimits
from tests.unit.gateway.fake_client import FakeClient

POLICY = RejectionPolicy(True, False, 0, envelope.OnCorruption.FORWARD)


class FakeOutlet:
    """Stands in for the link: takes messages while it has room."""

    def __init__(self) -> None:
        self.runs: list[list[tuple[envelope.Frame, bytes]]] = []
        self.room = 100

    @property
    def blocked(self) -> bool:
        return self.room == 0

    def has_room(self) -> bool:
        return not self.blocked

    def send(self, parts: list[bytes]) -> bool:
        assert self.room
        self.room -= 1
        batch = envelope.unpack_frames(parts[0])
        assert batch.gateway == "gateway"
        self.runs.append(list(zip(batch.frames, parts[1:], strict=True)))
        return True


class World:
    """A frames link with sessions whose recorders are there."""

    def __init__(self, links: Links, settings: GatewaySettings) -> None:
        self.clients = Clients()
        self.metrics = GatewayMetrics()
        self.out = FramesOut("gateway", settings, links, self.metrics, self.clients, 5)
        self.outlet = FakeOutlet()
        self.out._outlet = cast(SimpleNamespace, self.outlet)  # type: ignore[assignment]

    def session(self, *, is_open: bool = True) -> Session:
        session = Session(
            peer="peer",
            wants_events=False,
            policy=POLICY,
            limits=SessionLimits(64, 4 << 20, 0.25, 4.0),
        )
        log = IntegrityLog("peer", POLICY, extended=False, summary_s=10)
        self.clients.add(Attachment(session, log, FakeClient()), 0.0)
        session.seat = session.seat.assigned("t", 1)
        if is_open:
            session.seat = session.seat.opened("ipc://audio")
        return session

    def accept(self, session: Session, message: bytes) -> None:
        session.window.accept(message, 0.0, 7)
        self.out.offer(session)

    @property
    def messages(self) -> list[bytes]:
        return [message for run in self.outlet.runs for _, message in run]

    @property
    def runs(self) -> list[list[bytes]]:
        return [[message for _, message in run] for run in self.outlet.runs]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="stt", dir="/tmp") as folder:
        settings = GatewaySettings(run_dir=folder)
        links = Links(settings)
        yield World(links, settings)
        links.close_all()


async def test_a_frame_goes_out_by_itself_with_all_that_a_verifier_needs(world: World) -> None:
    session = world.session()
    world.accept(session, b"frame")
    await asyncio.sleep(0)
    header = envelope.Frame(session.id, 0, 7, "ipc://audio", 5)
    assert world.outlet.runs == [[(header, b"frame")]]


async def test_frames_that_come_in_one_turn_of_the_loop_travel_together(world: World) -> None:
    one, other = world.session(), world.session()
    for number in range(6):
        world.accept(one, b"a%d" % number)
        world.accept(other, b"b%d" % number)
    await asyncio.sleep(0)
    assert world.runs == [
        [b"a0", b"b0", b"a1", b"b1", b"a2", b"b2", b"a3", b"b3"],
        [b"a4", b"b4", b"a5", b"b5"],
    ]


async def test_large_frames_travel_alone(world: World) -> None:
    session = world.session()
    large = [bytes([number]) * RUN_BYTES for number in range(3)]
    for message in large:
        world.accept(session, message)
    await asyncio.sleep(0)
    assert world.runs == [[message] for message in large]


async def test_a_frame_waits_for_its_recorder(world: World) -> None:
    session = world.session(is_open=False)
    world.accept(session, b"frame")
    await asyncio.sleep(0)
    assert world.messages == []
    session.seat = session.seat.opened("ipc://audio")
    world.out.queue(session)
    world.out.pump()
    assert world.messages == [b"frame"]


async def test_sessions_take_turns_when_the_link_was_full(world: World) -> None:
    one, other = world.session(), world.session()
    world.outlet.room = 0
    for number in (b"1", b"2"):
        world.accept(one, b"a" + number)
        world.accept(other, b"b" + number)
    await asyncio.sleep(0)
    assert world.messages == []
    world.outlet.room = 10
    world.out.pump()
    assert world.messages == [b"a1", b"b1", b"a2", b"b2"]


async def test_a_frame_that_found_no_room_counts_as_not_sent(world: World) -> None:
    session = world.session()
    world.outlet.room = 0
    world.accept(session, b"frame")
    await asyncio.sleep(0)
    assert session.window.to_send() == 0
    assert not session.window.expire(1e9)


async def test_nothing_of_a_rejected_session_is_sent(world: World) -> None:
    session = world.session()
    session.rejected = "too many corrupt frames"
    world.accept(session, b"frame")
    world.out.pump()
    assert world.messages == []


async def test_what_is_sent_again_is_counted(world: World) -> None:
    session = world.session()
    world.accept(session, b"frame")
    world.out.pump()
    assert session.window.expire(1e9)
    world.out.queue(session)
    world.out.pump()
    assert world.messages == [b"frame", b"frame"]
    count = world.metrics.registry.get_sample_value("stt_gateway_retransmissions_total")
    assert count == 1
