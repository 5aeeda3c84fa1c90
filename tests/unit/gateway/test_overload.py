"""When newcomers are turned away because the engines or the recorders are busy."""

from __future__ import annotations

from gateway.overload import SUSTAINED_S, Overload, Overloads, TryLater


def test_a_delay_that_stays_too_long_turns_newcomers_away_and_one_good_beat_lets_them_in() -> None:
    overload = Overload(1.0, "{:.1f} s; try later")
    overload.hear(2.5, 10.0)
    assert overload.reason(10.0) == ""
    overload.hear(3.0, 10.0 + SUSTAINED_S)
    assert overload.reason(10.0 + SUSTAINED_S) == "3.0 s; try later"
    overload.hear(1.0, 13.0)
    assert overload.reason(13.0) == ""


def test_a_peak_is_no_overload() -> None:
    overload = Overload(1.0, "{}")
    for beat in range(10):
        overload.hear(5.0 if beat % 2 else 0.0, float(beat))
        assert overload.reason(float(beat)) == ""


def test_an_idle_or_just_started_system_refuses_nobody_and_zero_is_no_limit() -> None:
    assert Overload(1.0, "{}").reason(1e9) == ""
    overload = Overload(0.0, "{}")
    overload.hear(60.0, 0.0)
    assert overload.reason(60.0) == ""


def told(final_wait_s: float, lag_s: float) -> TryLater | None:
    """What newcomers are told of a system that has been like that for a while."""
    overloads = Overloads(1.0, 2.0)
    for now_s in (0.0, SUSTAINED_S):
        overloads.hear(final_wait_s, lag_s, now_s)
    return overloads.refusal(SUSTAINED_S)


def test_newcomers_are_told_whether_the_engines_or_the_recorders_are_late() -> None:
    text = "the engines are busy: a sentence would wait 1.5 s; try later"
    assert told(1.5, 0.0) == TryLater("final_wait", text)
    text = "the recorders are behind: speech would be heard 2.5 s late; try later"
    assert told(0.0, 2.5) == TryLater("lag", text)
    assert told(1.0, 2.0) is None
