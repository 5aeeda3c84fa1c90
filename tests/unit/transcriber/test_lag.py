"""How far a process's recorders are behind with live audio."""

from __future__ import annotations

from transcriber.lag import Backlog, Lag

BEAT_S = 0.5


def lags_of(beats: list[list[tuple[float, float]]]) -> list[float]:
    """What is told at each heartbeat, of sessions of which so much was fed and waits."""
    lag = Lag()
    return [
        lag.look(
            [Backlog(bytes([n]), fed_s, waiting_s) for n, (fed_s, waiting_s) in enumerate(beat)],
            number * BEAT_S,
        )
        for number, beat in enumerate(beats)
    ]


def live(waiting_s: list[float], beats: int = 8) -> list[list[tuple[float, float]]]:
    """Streams that come as they are spoken, and wait ever longer, up to so much each."""
    return [[(n * BEAT_S, wait_s * n / (beats - 1)) for wait_s in waiting_s] for n in range(beats)]


def test_live_streams_that_all_fall_behind_say_how_far_the_middle_one_is() -> None:
    assert lags_of(live([2.0, 3.0, 2.5]))[-1] == 2.5


def test_a_recording_at_full_speed_says_nothing_however_many_there_are() -> None:
    for count in (1, 5):
        assert not any(
            lags_of([[(0.0, 0.0)] * count, *[[(60.0, 59.0 - n)] * count for n in range(9)]])
        )


def test_a_recording_that_was_sent_before_the_first_look_is_one() -> None:
    assert lags_of([[(60.0, 59.0)]]) == [0.0]


def test_live_streams_beside_recordings_say_how_they_do() -> None:
    beats = [
        [stream, (100.0 * n, 50.0), (100.0 * n, 50.0)] for n, [stream] in enumerate(live([2.0]))
    ]
    assert lags_of(beats)[-1] == 2.0


def test_audio_that_came_late_on_its_way_is_live_again_after_a_while() -> None:
    """Three seconds of it come at once, to a process that is behind for good."""
    beats = [[(3.0 + n * BEAT_S, 3.0)] for n in range(40)]
    told = lags_of([[(0.0, 0.0)], *beats])
    assert told[1] == 0.0
    assert told[-1] == 3.0


def test_a_replay_is_live_once_it_was_heard() -> None:
    replayed = [[(10.0, 9.0)], [(10.5, 4.0)], [(11.0, 0.4)]]
    behind = [[(11.0 + n * BEAT_S, 1.0)] for n in range(3)]
    assert lags_of(replayed + behind)[-1] == 1.0


def test_chunks_that_have_just_come_are_no_lag_and_no_sessions_have_none() -> None:
    assert not any(lags_of(live([0.25] * 8)))
    assert lags_of([[]]) == [0.0]
