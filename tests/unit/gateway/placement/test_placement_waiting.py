"""Who has no recorder: sessions that rest, and those that wait, of which there is a bound."""

from __future__ import annotations

import pytest

from common.errors import CloseCode
from common.events import Error
from common.links import Links
from gateway.seat import SeatState
from tests.unit.gateway.placement.placed import (
    IDLE_S,
    FakeChannel,
    Gateway,
    send_frames,
)

# -- resting ---------------------------------------------------------------------------------------


def test_a_session_that_has_sent_nothing_takes_no_recorder(gateway: Gateway) -> None:
    gateway.transcriber("a", room=1)
    silent = gateway.client(speaks=False)
    speaking = gateway.client()
    assert (silent.seat.state, speaking.seat.instance) == (SeatState.WAITING, "a")
    gateway.placement.beat(gateway.now_s)
    assert gateway.placement.waiting == []


def test_a_silent_session_gives_its_recorder_to_one_that_waits(gateway: Gateway) -> None:
    gateway.transcriber("a", room=2)
    silent, speaking, newcomer = gateway.client(), gateway.client(), gateway.client()
    for session in (silent, speaking):
        gateway.answer(session)
    gateway.now_s += IDLE_S + 1
    gateway.transcriber("a", room=2)
    speaking.active_s = gateway.now_s
    assert gateway.placement.waiting == [newcomer]
    gateway.placement.beat(gateway.now_s)
    assert silent.resting
    assert silent.seat.state is SeatState.WAITING
    assert (speaking.seat.instance, newcomer.seat.instance) == ("a", "a")
    assert gateway.count("recorders_given_back_total") == 1
    gateway.placement.beat(gateway.now_s)
    assert gateway.placement.waiting == []
    gateway.placement.wake(silent)
    assert gateway.placement.waiting == [silent], "it waits for its turn now"


def test_nobody_gives_a_recorder_back_while_there_is_room(gateway: Gateway) -> None:
    gateway.transcriber("a", room=2)
    session = gateway.client()
    gateway.answer(session)
    gateway.now_s += 10 * IDLE_S
    gateway.transcriber("a", room=2)
    gateway.placement.beat(gateway.now_s)
    assert session.seat.is_open


def test_a_session_whose_frames_are_on_their_way_keeps_its_recorder(gateway: Gateway) -> None:
    gateway.transcriber("a", room=1)
    busy, _ = gateway.client(), gateway.client()
    gateway.answer(busy)
    send_frames(busy, 1)
    gateway.now_s += 10 * IDLE_S
    gateway.transcriber("a", room=1)
    gateway.placement.beat(gateway.now_s)
    assert busy.seat.is_open


def ending(gateway: Gateway) -> tuple[CloseCode, str] | None:
    return gateway.client_end.ended


def test_of_those_that_wait_there_is_a_bound_and_who_is_one_too_many_is_told(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.placement.CommandChannel", FakeChannel)
    gateway = Gateway(links, max_waiting=2)
    gateway.transcriber("a", room=1)
    served, *_ = [gateway.client() for _ in range(3)]
    assert ending(gateway) is None
    assert gateway.count("waiting_limit") == 2
    gateway.client()
    code, reason = ending(gateway) or (None, "")
    assert code == CloseCode.TRY_AGAIN_LATER
    assert "2 sessions wait for a recorder already" in reason
    assert gateway.client_end.events[-1] == Error("busy", reason, "disconnect")
    assert gateway.count("busy_rejections_total", why="waiting") == 1
    assert served.seat.instance == "a"


def test_who_had_a_recorder_is_not_turned_away_when_it_was_given_to_another(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.placement.CommandChannel", FakeChannel)
    gateway = Gateway(links, max_waiting=1)
    gateway.transcriber("a", room=1)
    first, _ = gateway.client(), gateway.client()
    gateway.answer(first)
    gateway.now_s += IDLE_S + 1
    gateway.transcriber("a", room=1)
    gateway.placement.beat(gateway.now_s)
    assert first.resting
    gateway.placement.wake(first)
    assert gateway.placement.waiting == [first]
    assert gateway.client_end.ended is None
