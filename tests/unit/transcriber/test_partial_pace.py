"""When a session's next partial may run, by what it costs."""

from __future__ import annotations

import math

import pytest

from transcriber.partial_pace import ACTIVE_S, FADING_S, Costs, PartialPace


def learned(each_s: float, per_s: float) -> Costs:
    """What is known after calls with one and with three requests of different lengths."""
    costs = Costs()
    for lengths in ([1.0], [2.0, 5.0, 1.0], [8.0], [3.0, 3.0, 3.0]) * 5:
        costs.ran(lengths, each_s * len(lengths) + per_s * sum(lengths), 0.0)
    return costs


@pytest.mark.parametrize("each_s, per_s", [(0.02, 0.0), (0.0, 0.15), (0.05, 0.1)])
def test_what_a_request_takes_is_learned_by_requests_and_by_audio(
    each_s: float, per_s: float
) -> None:
    costs = learned(each_s, per_s)
    for audio_s in (0.5, 20.0):
        assert costs.expected_s(audio_s, 0.0) == pytest.approx(each_s + per_s * audio_s, rel=0.01)


def test_where_all_are_equally_long_longer_ones_are_taken_to_cost_as_much_more() -> None:
    costs = Costs()
    assert costs.expected_s(10, 0) == 0
    for _ in range(3):
        costs.ran([2.0, 2.0], 0.4, 0)
    assert costs.expected_s(10, 0) == pytest.approx(1.0)


def test_no_request_is_expected_to_take_less_than_nothing() -> None:
    costs = Costs()
    costs.ran([1.0], 2.0, 0)
    costs.ran([10.0], 0.1, 0)
    assert costs.expected_s(0.1, 0) > 0
    assert costs.expected_s(30, 0) > 0


def test_a_hiccup_is_forgotten_in_time() -> None:
    costs = Costs()
    costs.ran([1.0], 10.0, 0)
    assert costs.expected_s(1, FADING_S) == pytest.approx(costs.expected_s(1, 0) / 2)


def pace(max_cost_s: float = math.inf, now: float = 0.0) -> PartialPace:
    """That of an engine that takes a tenth of the audio."""
    pace = PartialPace(max_cost_s)
    for audio_s in (1.0, 4.0, 2.0):
        pace.ran([("", audio_s)], audio_s / 10, now)
    return pace


def test_a_sessions_partials_take_no_more_than_its_share_of_the_time() -> None:
    ours = pace()
    ours.asked("a", 0)
    assert ours.due_s("a", 2, 0.5, 0) <= 0, "nothing ran yet"
    ours.started("a", 0, 0)
    assert ours.due_s("a", 2, 0.5, 0) == pytest.approx(0.2 / 0.5)
    assert ours.due_s("a", 20, 0.5, 0) == pytest.approx(2.0 / 0.5)
    ours.asked("b", 0)
    assert ours.due_s("a", 2, 0.5, 0) == pytest.approx(2 * 0.2 / 0.5)
    assert ours.due_s("b", 2, 0.5, 0) <= 0


def test_who_had_to_wait_for_others_has_saved_up_for_a_second_at_most() -> None:
    ours = pace(now=10)
    ours.asked("a", 10)
    ours.started("a", 9.5, 10)
    assert ours.due_s("a", 2, 1.0, 10) == pytest.approx(9.7)
    ours.started("a", 2, 10)
    assert ours.due_s("a", 2, 1.0, 10) == pytest.approx(9.2)
    ours.started("a", -math.inf, 10)
    assert ours.due_s("a", 2, 1.0, 10) == pytest.approx(9.2)


def test_who_asks_no_more_has_no_share() -> None:
    ours = pace()
    for session in "ab":
        ours.asked(session, 0)
        ours.started(session, 0, 0)
    ours.asked("c", ACTIVE_S + 0.1)
    ours.forget("c")
    assert ours.due_s("a", 2, 1.0, 0) == pytest.approx(2 * 0.2), "b's is running"
    ours.ran([("a", 2), ("b", 2)], 0.4, 0)
    ours.asked("a", ACTIVE_S + 0.1)
    assert ours.due_s("a", 2, 1.0, 0) == pytest.approx(0.2)
    ours.asked("b", ACTIVE_S + 0.1)
    ours.forget("b")
    assert ours.due_s("a", 2, 1.0, 0) == pytest.approx(0.2)


def test_a_partial_costs_no_more_than_its_bound_and_less_beside_finals() -> None:
    ours = pace(max_cost_s=1.0)
    assert not ours.is_dear(9.9, 1.0, 0)
    assert ours.is_dear(10.5, 1.0, 0)
    assert ours.is_dear(5.5, 0.5, 0)
    assert not ours.is_dear(10.5, 1.0, FADING_S)
