"""A session's place at a transcriber, from one placement to the next."""

from __future__ import annotations

from gateway.seat import NOWHERE, Seat, SeatState

AUDIO = "ipc://audio"


def opened(seat: Seat = NOWHERE, instance: str = "a", epoch: int = 1) -> Seat:
    return seat.assigned(instance, epoch).opened(AUDIO)


def test_a_session_begins_without_a_seat() -> None:
    assert NOWHERE.state is SeatState.WAITING
    assert NOWHERE.instance is None
    assert not NOWHERE.audio_endpoint


def test_a_seat_takes_audio_once_it_is_open() -> None:
    seat = NOWHERE.assigned("a", 1)
    assert seat.state is SeatState.OPENING
    assert not seat.audio_endpoint
    assert seat.opened(AUDIO).is_open
    assert seat.opened(AUDIO).audio_endpoint == AUDIO


def test_only_its_instance_and_epoch_speak_for_a_seat() -> None:
    seat = opened(epoch=3)
    assert seat.is_at("a", 3)
    assert not seat.is_at("b", 3)
    assert not seat.is_at("a", 2)


def test_nothing_of_a_seat_is_left_in_the_next_but_its_epoch() -> None:
    seat = opened(epoch=3).heard_sentence().left(0)
    assert seat == Seat(epoch=3, is_reopening=True)


def test_frames_to_replay_add_up_until_a_recorder_has_them() -> None:
    seat = opened().left(5).assigned("b", 2).left(2)
    assert seat.to_replay == 7
    assert seat.assigned("c", 3).opened(AUDIO).to_replay == 0


def test_a_session_is_reopened_only_if_it_was_open() -> None:
    refused = NOWHERE.assigned("a", 1).left(0, refused_by="a")
    assert not refused.assigned("b", 2).is_reopening
    assert opened(refused, "b", 2).left(0).assigned("c", 3).is_reopening


def test_a_refusal_is_remembered_until_there_is_a_recorder() -> None:
    seat = NOWHERE.assigned("a", 1).left(0, refused_by="a").assigned("b", 2)
    assert seat.refused_by == "a"
    assert seat.opened(AUDIO).refused_by is None
