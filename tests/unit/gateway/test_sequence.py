"""Following a client's own frame counter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.sequence import Anomaly, SequenceTracker


def follow(*numbers: int | None) -> tuple[SequenceTracker, list[Anomaly]]:
    tracker = SequenceTracker()
    return tracker, [a for n in numbers if (a := tracker.follow(n)) is not None]


def test_a_whole_sequence_has_no_anomaly() -> None:
    assert follow(*range(100))[1] == []


def test_a_client_without_counter_has_no_anomaly() -> None:
    assert follow(None, None)[1] == []


def test_counter_may_start_anywhere() -> None:
    assert follow(1000, 1001)[1] == []


def test_a_jump_is_a_loss() -> None:
    tracker, anomalies = follow(0, 1, 5)
    assert anomalies == [Anomaly("lost", 2, 5)]
    assert anomalies[0].frames == tracker.lost == 3


def test_a_late_frame_was_reordered_and_not_lost() -> None:
    tracker, anomalies = follow(0, 2, 1, 3)
    assert [a.kind for a in anomalies] == ["lost", "reordered"]
    assert (tracker.lost, tracker.reordered) == (0, 1)


def test_the_same_frame_again_is_repeated() -> None:
    assert [a.kind for a in follow(0, 1, 1, 2)[1]] == ["repeated"]


@given(st.lists(st.integers(0, 2**62)))
def test_any_numbers_are_followed_in_bounded_memory(numbers: list[int]) -> None:
    tracker = SequenceTracker(memory=8)
    for number in numbers:
        tracker.follow(number)
    assert len(tracker._missing) <= 8
    assert tracker.lost >= 0
