"""Sessions begin, are resumed and end, whatever protocol their clients speak."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from common.envelope import Commit, Sentence
from common.errors import BusyError, CloseCode
from common.events import Error, FullSentence, SessionStarted
from common.settings import GatewaySettings
from gateway.clients import Attachment, Clients
from gateway.hub import Hub
from gateway.metrics import GatewayMetrics
from gateway.overload import Overloads
from gateway.reception import Reception, Stream
from gateway.rejection import RejectionPolicy
from gateway.retention import RetentionLedger
from gateway.session import Session
from gateway.transcribers import TranscriberRegistry
from tests.unit.gateway.fake_client import FakeClient

SETTINGS = GatewaySettings(max_sessions=2, resume_grace_s=30.0, window_frames=2)


class FakeHub:
    """Stands in for the pipeline: keeps what it is given."""

    def __init__(self) -> None:
        self.policy = RejectionPolicy.of(SETTINGS)
        self.notary = None
        self.mender = SimpleNamespace(resumed=lambda attachment: None)
        self.placement = SimpleNamespace(
            registry=TranscriberRegistry(3.0), overloads=Overloads(1.0, 1.0)
        )
        self.added: list[Session] = []
        self.removed: list[Session] = []
        self.finished: list[Session] = []

    def add(self, session: Session) -> None:
        self.added.append(session)

    def remove(self, session: Session) -> None:
        self.removed.append(session)

    def accept(self, attachment: Attachment, message: bytes) -> None:
        attachment.session.resting = False
        attachment.session.window.accept(message, 0.0, 0)

    def finish(self, session: Session, frames: int = -1) -> None:
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


def turned_away(world: World, why: str) -> float | None:
    return world.metrics.registry.get_sample_value(
        "stt_gateway_busy_rejections_total", {"why": why}
    )


def test_newcomers_are_turned_away_while_sentences_would_wait_or_be_heard_too_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is here stays, and who was at another gateway goes on here."""
    world = World(monkeypatch, max_sessions=4)
    world.begin()
    for now_s in (world.now_s - 10, world.now_s):
        world.hub.placement.overloads.hear(2.5, 0.0, now_s)
    client = FakeClient()
    with pytest.raises(BusyError, match=r"a sentence would wait 2\.5 s"):
        world.reception.begin(client)
    assert turned_away(world, "final_wait") == 1
    world.reception.begin(FakeClient(), start=Commit(3, 0, 16_000))
    world.hub.placement.overloads.hear(0.2, 0.9, world.now_s)
    world.begin()
    assert len(world.hub.added) == 3
    for now_s in (world.now_s - 10, world.now_s):
        world.hub.placement.overloads.hear(0.2, 1.5, now_s)
    with pytest.raises(BusyError, match=r"speech would be heard 1\.5 s late"):
        world.reception.begin(client)
    assert turned_away(world, "lag") == 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def code_of(client: FakeClient) -> CloseCode | None:
    return client.ended[0] if client.ended else None


def waits(stream: Stream) -> bool:
    return stream.must_wait


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
    assert turned_away(world, "sessions") == 1
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


def test_a_new_client_gets_the_place_of_one_that_is_away(world: World) -> None:
    stream, _ = world.begin()
    world.begin()
    stream.leave(may_return=True)
    world.begin()
    assert world.hub.removed == [stream.session]
    assert world.metrics.registry.get_sample_value(
        "stt_gateway_limits_met_total", {"bound": "displaced"}
    )


def test_a_silent_session_of_a_greedy_address_is_told_why_it_gives_way(world: World) -> None:
    greedy = [world.begin() for _ in range(2)]
    world.now_s += SETTINGS.session_idle_s + 1
    greedy[1][0].session.active_s = world.now_s
    with pytest.raises(BusyError):
        world.begin()
    world.reception.begin(FakeClient("192.0.2.99"))
    stream, client = greedy[0]
    assert client.ended is not None
    assert client.ended[0] == CloseCode.TRY_AGAIN_LATER
    assert isinstance(client.events[-1], Error)
    assert world.hub.removed == [stream.session]


def test_what_a_resting_session_holds_does_not_keep_its_next_frame_out(world: World) -> None:
    stream, _ = world.begin()
    stream.session.resting = False
    for _ in range(2):
        stream.accept(b"frame")
    assert waits(stream)
    stream.session.resting = True
    assert not waits(stream)


def test_a_server_that_stops_takes_nobody_in_and_sends_back_who_can_resume(world: World) -> None:
    stream, client = world.begin()
    stock, stock_client = world.begin(events=False)
    world.reception.drain()
    assert client.ended is not None
    assert client.ended[0] == CloseCode.SERVICE_RESTART
    assert world.hub.finished == [stock.session], "its sentence has nobody else to finish it"
    with pytest.raises(BusyError, match="stopping"):
        world.begin()
    stream.leave(may_return=False)
    assert not world.reception.is_drained
    world.reception.send_away()
    assert stock_client.ended == (CloseCode.GOING_AWAY, "the server is stopping")
    stock.leave(may_return=False)
    assert world.reception.is_drained


def test_who_said_that_no_more_follows_hears_the_rest_of_a_server_that_stops(world: World) -> None:
    stream, client = world.begin()
    stream.finish()
    world.reception.drain()
    assert code_of(client) is None
    world.reception.send_away()
    assert code_of(client) == CloseCode.SERVICE_RESTART
