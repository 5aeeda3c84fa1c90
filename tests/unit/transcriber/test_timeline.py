"""From positions in a recorder's audio to what of the client's frames is committed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import Commit
from transcriber.timeline import Timeline

SAMPLES = 100
START = Commit(0, 0, 0)


def fed(*sizes: int) -> Timeline:
    timeline = Timeline(START)
    for seq, samples in enumerate(sizes):
        timeline.fed(seq, samples)
    return timeline


def test_commit_in_the_middle_of_a_frame_skips_its_committed_part() -> None:
    timeline = fed(SAMPLES, SAMPLES, SAMPLES)
    assert timeline.commit_to(150) == Commit(1, 50, 150)
    assert timeline.commit_to(150) is None
    assert timeline.commit_to(10_000) == Commit(3, 0, 300)


def test_a_replay_from_the_middle_of_a_frame_counts_positions_as_before() -> None:
    timeline = Timeline(Commit(1, 50, 150))
    timeline.fed(1, SAMPLES - 50)
    assert timeline.fed_samples == 200
    assert timeline.commit_to(170) == Commit(1, 70, 170)
    timeline.fed(2, SAMPLES)
    assert timeline.commit_to(200) == Commit(2, 0, 200)


@pytest.mark.parametrize("sample", [-1, 0, 99, 100])
def test_a_commit_never_moves_back(sample: int) -> None:
    timeline = fed(SAMPLES, SAMPLES)
    timeline.commit_to(100)
    assert timeline.commit_to(sample) is None
    assert timeline.commit == Commit(1, 0, 100)


def test_frames_without_audio_take_no_memory() -> None:
    timeline = fed(SAMPLES, *[0] * 1000)
    assert len(timeline._frames) == 1


def test_frames_without_audio_are_committed_with_the_one_before() -> None:
    """Dropped corrupt frames: none of them needs to be kept for a replay."""
    assert fed(SAMPLES, 0, 0, SAMPLES).commit_to(100) == Commit(3, 0, 100)


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=20),
    st.lists(st.integers(0, 5000)),
    st.data(),
)
def test_a_replay_from_any_commit_feeds_exactly_the_rest(
    sizes: list[int], commits: list[int], data: st.DataObject
) -> None:
    timeline = fed(*sizes)
    for sample in commits:
        timeline.commit_to(sample)
    start = timeline.commit
    assert start.sample == min(sum(sizes), max([0, *commits]))
    assert sum(sizes[: start.seq]) + start.skip_samples == start.sample

    replay = Timeline(start)
    skip = start.skip_samples
    for seq in range(start.seq, len(sizes)):
        replay.fed(seq, sizes[seq] - skip)
        skip = 0
    assert replay.fed_samples == timeline.fed_samples
    later = data.draw(st.integers(0, 5000))
    assert replay.commit_to(later) == timeline.commit_to(later)


def test_what_a_resampler_still_holds_of_a_frame_belongs_to_that_frame() -> None:
    timeline = Timeline(START)
    timeline.fed(0, 70, to_come=30)
    timeline.fed(1, 100, to_come=30)
    assert timeline.fed_samples == 170
    assert timeline.commit_to(80) == Commit(0, 80, 80)
    assert timeline.commit_to(120) == Commit(1, 20, 120)


def test_a_frame_that_is_not_out_of_the_resampler_is_not_committed() -> None:
    timeline = Timeline(START)
    timeline.fed(0, 70, to_come=30)
    assert timeline.commit_to(1_000) == Commit(0, 70, 70)


@pytest.mark.parametrize("rest", [29, 30, 31])
def test_when_the_resampler_is_emptied_all_is_committed_whatever_was_rounded(rest: int) -> None:
    timeline = Timeline(START)
    timeline.fed(0, 70, to_come=30)
    timeline.fed(1, 0, to_come=30)
    timeline.flushed(rest)
    assert timeline.commit_to(1_000) == Commit(2, 0, 70 + rest)


def test_nothing_is_committed_past_a_frame_that_is_kept() -> None:
    timeline = Timeline(START)
    timeline.fed(0, 100)
    timeline.fed(1, 0)
    timeline.keep(1)
    timeline.fed(2, 100)
    assert timeline.commit_to(100) == Commit(1, 0, 100)
    timeline.let_go()
    assert timeline.commit_to(150) == Commit(2, 50, 150)


def test_letting_go_when_nothing_is_kept_is_harmless() -> None:
    timeline = Timeline(START)
    timeline.let_go()
    timeline.fed(0, 100)
    assert timeline.commit_to(100) == Commit(1, 0, 100)
