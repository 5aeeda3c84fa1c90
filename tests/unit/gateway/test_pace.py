"""How far ahead of real time a session's audio may be."""

from __future__ import annotations

from gateway.pace import AHEAD_S, LEAST_FRAME_S, Pace


def ahead_after(pace: Pace, audio_s: float, frame_s: float, now_s: float = 0.0) -> bool:
    for _ in range(round(audio_s / frame_s)):
        pace.took(frame_s, now_s)
    return pace.is_ahead(now_s)


def test_a_short_recording_may_come_at_once() -> None:
    assert not ahead_after(Pace(4.0), AHEAD_S - 1, 0.25)


def test_a_long_one_is_ahead_until_time_has_passed() -> None:
    pace = Pace(4.0)
    assert ahead_after(pace, AHEAD_S + 8, 0.25)
    assert pace.is_ahead(1.9)
    assert not pace.is_ahead(2.1)


def test_real_time_never_is_ahead() -> None:
    pace = Pace(1.0)
    for second in range(10_000):
        pace.took(1.0, float(second))
        assert not pace.is_ahead(float(second))


def test_a_silence_saves_nothing_up() -> None:
    pace = Pace(4.0)
    pace.took(1.0, 0.0)
    assert ahead_after(pace, AHEAD_S + 1, 0.25, now_s=1_000.0)


def test_frames_of_one_sample_count_as_work() -> None:
    pace = Pace(4.0)
    for _ in range(int(AHEAD_S / LEAST_FRAME_S) + 10):
        pace.took(1 / 16_000, 0.0)
    assert pace.is_ahead(0.0)


def test_without_a_bound_nothing_is_ahead() -> None:
    assert not ahead_after(Pace(0.0), 10 * AHEAD_S, 1.0)


def test_who_is_ahead_is_held_back_only_while_others_speak() -> None:
    pace = Pace(4.0)
    pace.took(600.0, 0.0)
    assert not pace.decide(1.0, others_speak=False)
    assert pace.decide(1.0, others_speak=True)
    assert pace.held_back
    assert not pace.decide(2.0, others_speak=True), "nothing has changed"
    assert pace.decide(3.0, others_speak=False)
    assert not pace.held_back
