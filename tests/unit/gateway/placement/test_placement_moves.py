"""Sessions go on when their transcriber falls silent, drains or dies."""

from __future__ import annotations

from common import envelope
from common.events import TranscriberChanged
from gateway.seat import SeatState
from tests.unit.gateway.placement.placed import (
    PEER_TIMEOUT_S,
    Gateway,
    link_of,
    send_frames,
)

# -- dying ----------------------------------------------------------------------------------------


def test_sessions_of_a_dead_transcriber_are_opened_on_another_from_their_commit(
    gateway: Gateway,
) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    send_frames(session, 5)
    session.window.acknowledge(
        envelope.Ack(session.id, 4, 4, [], envelope.Commit(2, 7, 300), session.seat.epoch)
    )
    gateway.transcriber("b")
    gateway.channel("a").on_gone()
    assert session.seat.instance == "b"
    (opened,) = gateway.opens("b")
    assert opened.start == envelope.Commit(2, 7, 300)
    assert opened.epoch == 2
    gateway.answer(session)
    assert gateway.events[-1] == TranscriberChanged("open", 2)
    assert (session.replays, gateway.count("replays_total")) == (1, 1)
    assert gateway.count("replayed_frames_total") == 2


def test_without_another_transcriber_sessions_wait_for_one(gateway: Gateway) -> None:
    gateway.transcriber("a")
    sessions = [gateway.client() for _ in range(3)]
    for session in sessions:
        gateway.answer(session)
    channel = gateway.channel("a")
    channel.on_gone()
    assert channel.closed
    assert {session.seat.state for session in sessions} == {SeatState.WAITING}
    assert gateway.count("transcribers") == 0
    gateway.transcriber("restarted")
    assert {session.seat.instance for session in sessions} == {"restarted"}


def test_a_silent_transcriber_is_given_up_and_counts_as_new_when_it_speaks(
    gateway: Gateway,
) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    first = gateway.channel("a")
    gateway.now_s += PEER_TIMEOUT_S + 0.1
    gateway.placement.beat(gateway.now_s)
    assert first.closed
    assert link_of(session) is SeatState.WAITING
    gateway.transcriber("a")
    assert gateway.channel("a") is not first
    assert gateway.opens("a")[0].epoch == 2


def test_after_a_pause_of_its_own_a_gateway_listens_before_it_gives_anybody_up(
    gateway: Gateway,
) -> None:
    """What they said meanwhile waits to be read."""
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.placement.beat(gateway.now_s)
    gateway.now_s += 10 * PEER_TIMEOUT_S
    gateway.placement.beat(gateway.now_s)
    assert link_of(session) is SeatState.OPEN
    gateway.placement.beat(gateway.now_s + 0.1)
    assert link_of(session) is SeatState.WAITING


def test_what_a_dead_transcriber_said_last_is_not_heard(gateway: Gateway) -> None:
    gateway.transcriber("a")
    gateway.transcriber("b")
    session = gateway.client()
    place = session.seat.instance
    assert place is not None
    late = envelope.Opened(place, session.id, "", session.seat.epoch)
    channel = gateway.channel(place)
    channel.on_gone()
    channel.on_opened(late)
    assert session.seat.instance != place
    assert link_of(session) is SeatState.OPENING


# -- draining -------------------------------------------------------------------------------------


def test_a_draining_transcriber_gives_its_sessions_to_others(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.transcriber("b")
    gateway.transcriber("a", draining=True)
    assert session.seat.instance == "b"
    assert envelope.Close(session.id) in gateway.channel("a").sent


def test_only_as_many_sessions_move_as_there_is_room_for(gateway: Gateway) -> None:
    gateway.transcriber("a")
    sessions = [gateway.client() for _ in range(5)]
    for session in sessions:
        gateway.answer(session)
    gateway.transcriber("b", room=2)
    gateway.transcriber("a", draining=True)
    assert sorted(s.seat.instance or "" for s in sessions) == ["a", "a", "a", "b", "b"]
    assert sum(s.seat.state is SeatState.OPEN for s in sessions) == 3


def test_without_another_one_a_draining_transcriber_finishes_what_it_has(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.transcriber("a", draining=True)
    assert link_of(session) is SeatState.OPEN
    assert link_of(gateway.client()) is SeatState.WAITING
