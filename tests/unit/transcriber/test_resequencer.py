"""Frames arrive in any order, more than once, or not at all, and leave in order, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcriber.resequencer import Arrival, Resequencer

WINDOW = 8


def taken(resequencer: Resequencer[int]) -> list[int]:
    """All that can be taken now."""
    frames = []
    while (frame := resequencer.take()) is not None:
        frames.append(frame)
    return frames


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(0, 20))
def test_any_order_and_repetition_gives_each_frame_once_in_order(
    arrivals: list[int], first: int
) -> None:
    resequencer: Resequencer[int] = Resequencer(first, WINDOW)
    out: list[int] = []
    for seq in arrivals:
        resequencer.accept(seq, seq)
        out += taken(resequencer)
        assert len(resequencer) <= WINDOW
    assert out == list(range(first, first + len(out)))
    assert resequencer.next_seq == first + len(out)


@given(st.permutations(range(WINDOW)), st.integers(0, 3))
def test_a_whole_window_in_any_order_comes_out_complete(order: list[int], start: int) -> None:
    resequencer: Resequencer[int] = Resequencer(start, WINDOW)
    for offset in order:
        assert resequencer.accept(start + offset, start + offset) is Arrival.HELD
    assert taken(resequencer) == list(range(start, start + WINDOW))
    assert len(resequencer) == 0


@given(st.sets(st.integers(0, WINDOW - 1)))
def test_held_frames_and_gaps_are_all_there_is_up_to_the_highest(held: set[int]) -> None:
    resequencer: Resequencer[int] = Resequencer(0, WINDOW)
    for seq in held:
        resequencer.accept(seq, seq)
    assert resequencer.held_below == (max(held) + 1 if held else 0)
    assert resequencer.gaps() == [n for n in range(resequencer.held_below) if n not in held]
    taken(resequencer)
    assert resequencer.next_seq not in held
    assert resequencer.held_below >= resequencer.next_seq
    assert not set(resequencer.gaps()) & held


def test_a_frame_that_was_taken_or_is_held_is_a_duplicate() -> None:
    resequencer: Resequencer[int] = Resequencer(5, WINDOW)
    assert resequencer.accept(4, 4) is Arrival.DUPLICATE
    assert resequencer.accept(6, 6) is Arrival.HELD
    assert resequencer.accept(6, 66) is Arrival.DUPLICATE
    assert resequencer.accept(5, 5) is Arrival.HELD
    assert taken(resequencer) == [5, 6]
    assert resequencer.accept(5, 5) is Arrival.DUPLICATE


def test_a_frame_beyond_the_window_is_dropped_until_the_window_has_moved() -> None:
    resequencer: Resequencer[int] = Resequencer(0, WINDOW)
    assert resequencer.accept(WINDOW, WINDOW) is Arrival.BEYOND_WINDOW
    assert resequencer.held_below == 0
    resequencer.accept(0, 0)
    assert taken(resequencer) == [0]
    assert resequencer.accept(WINDOW, WINDOW) is Arrival.HELD


def test_nothing_is_taken_past_a_gap() -> None:
    resequencer: Resequencer[int] = Resequencer(0, WINDOW)
    resequencer.accept(1, 1)
    assert resequencer.take() is None
    assert resequencer.gaps() == [0]
