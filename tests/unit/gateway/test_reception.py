"""Sessions begin, are resumed and end, whatever protocol their clients speak."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from common.envelope import Commit, Sentence
from common.errors import BusyError, CloseCode
from common.events import FullSentence, SessionStarted
from common.settings import GatewaySettings
from gateway.clients import Attachment, Clients
from gateway.hub import Hub
from gateway.metrics import GatewayMetrics
from gateway.reception import Reception, Stream
from gateway.rejection import RejectionPolicy
from gateway.retention import RetentionLedger
from gateway.session import Session
from tests.unit.gateway.fake_client import FakeClient

SETTINGS = GatewaySettings(max_sessions=2, resume_grace_s=30.0, window_frames=2)


class FakeHub:
    """Stands in for the pipeline: keeps what it is given."""

    def __init__(self) -> None:
        self.policy = RejectionPolicy.of(SETTINGS)
        self.added: list[Session] = []
        self.removed: list[Session] = []
        self.finished: list[Session] = []

    def add(self, session: Session) -> None:
        self.added.append(session)

    def remove(self, session: Session) -> None:
        self.removed.append(session)

    def accept(self, attachment: Attachment, message: bytes) -> None:
        attachment.session.window.accept(message, 0.0, 0)

    def finish(self, session: Session) -> None:
        session.finishing = True
        self.finished.append(session)


class World:
    """A reception whose clock the test has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        settings = dataclasses.replace(SETTINGS, **changes)
        self.now_s = 100.0
        clock = SimpleNamespace(monotonic=lambda: self.now_s)
        monkeypatch.setattr("gateway.reception.time", clock)
        self.clients = Clients()
        self.hub = FakeHub()
        self.metrics = GatewayMetrics()
        ledger: RetentionLedger[bytes] = RetentionLedger(1 << 20, 1 << 20)
        self.reception = Reception(
            settings, self.metrics, cast(Hub, self.hub), self.clients, ledger
        )

    def begin(self, *, events: bool = True) -> tuple[Stream, FakeClient]:
        client = FakeClient()
        return self.reception.begin(client, wants_events=events), client


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def started(client: FakeClient) -> SessionStarted:
    event = client.events[0]
    assert isinstance(event, SessionStarted)
    return event


def test_a_session_begins_with_its_id_for_who_asked_for_events(world: World) -> None:
    stream, client = world.begin()
    assert started(client).session == stream.session.key
    assert world.hub.added == [stream.session]
    _, stock = world.begin(events=False)
    assert stock.events == []


def test_one_client_too_many_is_turned_away(world: World) -> None:
    world.begin()
    world.begin()
    with pytest.raises(BusyError, match="limit of 2 sessions"):
        world.begin()
    assert world.metrics.registry.get_sample_value("stt_gateway_busy_rejections_total") == 1
    assert len(world.hub.added) == 2


def test_a_stream_waits_while_its_window_is_full(world: World) -> None:
    stream, _ = world.begin()
    stream.accept(b"one")
    assert not stream.must_wait
    stream.accept(b"two")
    assert stream.must_wait


def test_a_client_that_lost_its_connection_takes_its_session_up_again(world: World) -> None:
    stream, client = world.begin()
    for number, text in enumerate(("One.", "Two."), start=1):
        stream.session.take_sentence(
            Sentence("t", stream.session.id, text, 0, number, Commit(0, 0, 0))
        )
    stream.leave(may_return=True)
    back = FakeClient(port=50_001)
    again = world.reception.resume(back, stream.session.key, 1)
    assert again is not None
    assert again.session is stream.session
    assert started(back).resumed
    (missed,) = back.events[1:]
    assert isinstance(missed, FullSentence)
    assert missed.text == "Two."
    assert again.is_open
    assert not stream.is_open
    assert client.ended is None


def test_the_stream_of_a_connection_that_was_replaced_ends_nothing(world: World) -> None:
    stream, old = world.begin()
    assert world.reception.resume(FakeClient(), stream.session.key, -1) is not None
    assert old.ended is not None
    stream.leave(may_return=False)
    assert world.hub.removed == []


def test_who_does_not_come_back_is_forgotten(world: World) -> None:
    stream, _ = world.begin()
    stream.leave(may_return=True)
    world.now_s += 29
    world.reception.expire()
    assert world.hub.removed == []
    world.now_s += 1
    world.reception.expire()
    assert world.hub.removed == [stream.session]
    assert world.reception.resume(FakeClient(), stream.session.key, -1) is None


@pytest.mark.parametrize(("events", "may_return"), [(False, True), (True, False)])
def test_a_session_that_cannot_be_resumed_ends_with_its_connection(
    world: World, events: bool, may_return: bool
) -> None:
    stream, _ = world.begin(events=events)
    stream.leave(may_return=may_return)
    assert world.hub.removed == [stream.session]


def test_a_rejected_session_is_not_resumed(world: World) -> None:
    stream, _ = world.begin()
    stream.session.rejected = "too many corrupt frames"
    assert not stream.is_open
    assert world.reception.resume(FakeClient(), stream.session.key, -1) is None
    stream.leave(may_return=True)
    assert world.hub.removed == [stream.session]


def test_the_end_of_a_stream_is_the_hubs_to_carry_out(world: World) -> None:
    stream, _ = world.begin()
    stream.finish()
    assert stream.session.said_end
    assert world.hub.finished == [stream.session]


def test_a_session_that_is_shut_down_closes_its_connection_or_ends_at_once(world: World) -> None:
    stream, client = world.begin()
    world.reception.shut_down(stream.session)
    assert client.ended == (CloseCode.NORMAL, "session was shut down")
    away, _ = world.begin()
    away.leave(may_return=True)
    world.reception.shut_down(away.session)
    assert world.hub.removed == [away.session]


def test_a_server_that_stops_takes_nobody_in_and_sends_away_who_is_left(world: World) -> None:
    stream, client = world.begin()
    world.reception.drain()
    assert world.hub.finished == [stream.session]
    with pytest.raises(BusyError, match="stopping"):
        world.begin()
    assert not world.reception.is_drained
    world.reception.send_away()
    assert client.ended == (CloseCode.GOING_AWAY, "the server is stopping")
    stream.leave(may_return=False)
    assert world.reception.is_drained
