"""How far a process's recorders are behind with the audio that they were fed."""

from __future__ import annotations

from transcriber.lag import lag_s


def test_streams_that_all_fall_behind_say_how_far() -> None:
    assert lag_s([2.0, 3.0, 2.5]) == 2.5


def test_one_client_that_sends_a_recording_says_nothing() -> None:
    assert lag_s([60.0, 0.1, 0.0]) == 0.0
    assert lag_s([60.0, 0.1]) == 0.0


def test_chunks_that_have_just_come_are_no_lag() -> None:
    assert lag_s([0.25] * 8) == 0.0


def test_without_sessions_there_is_none() -> None:
    assert lag_s([]) == 0.0
