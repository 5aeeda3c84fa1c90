"""When newcomers are turned away because the engines are busy."""

from __future__ import annotations

from gateway.overload import SUSTAINED_S, Overload


def test_a_wait_that_stays_too_long_turns_newcomers_away_and_one_good_beat_lets_them_in() -> None:
    overload = Overload(1.0)
    overload.hear(2.5, 10.0)
    assert overload.reason(10.0) == ""
    overload.hear(3.0, 10.0 + SUSTAINED_S)
    assert "would wait 3.0 s; try later" in overload.reason(10.0 + SUSTAINED_S)
    overload.hear(1.0, 13.0)
    assert overload.reason(13.0) == ""


def test_a_peak_is_no_overload() -> None:
    overload = Overload(1.0)
    for beat in range(10):
        overload.hear(5.0 if beat % 2 else 0.0, float(beat))
        assert overload.reason(float(beat)) == ""


def test_an_idle_or_just_started_system_refuses_nobody_and_zero_is_no_limit() -> None:
    assert Overload(1.0).reason(1e9) == ""
    overload = Overload(0.0)
    overload.hear(60.0, 0.0)
    assert overload.reason(60.0) == ""
