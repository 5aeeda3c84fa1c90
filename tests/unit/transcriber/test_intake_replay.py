"""What a recorder is fed after a replay, at marks and at the end is what it would have been fed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from common.envelope import Commit
from common.wire import Mark
from tests.unit.transcriber.intake_bench import (
    Bench,
    frame,
    tone,
)

# -- commits and replays --------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=16), st.integers(0, 400))
def test_a_replay_from_a_commit_feeds_exactly_what_followed_it(
    sizes: list[int], position: int
) -> None:
    first = Bench()
    for seq, size in enumerate(sizes):
        first.arrive(seq, frame(seq, size))
    first.intake.commit_to(position)
    start = first.intake.commit
    again = Bench(start)
    for seq in range(start.seq, len(sizes)):
        again.arrive(seq, frame(seq, sizes[seq]))
    assert again.recorder.pcm == first.recorder.pcm[2 * start.sample :]
    assert again.intake.next_seq == first.intake.next_seq


def test_what_a_replay_skips_may_be_a_hole() -> None:
    bench = Bench(Commit(1, 30, 40))
    bench.arrive(1, corrupt=True, hole_samples=100)
    bench.arrive(2, frame(2))
    assert bench.recorder.pcm == bytes(140) + frame(2)


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    rate_hz=st.sampled_from([8_000, 11_025, 22_050, 44_099, 44_100, 48_000, 96_000]),
    seconds=st.floats(0.1, 3.5),
    position=st.integers(1, 60_000),
    sizes=st.lists(st.integers(1, 9_000), min_size=3, max_size=12).filter(
        lambda sizes: sum(sizes) > 3_000
    ),
)
@example(44_099, 1.5, 1, [1, 1, 1, 3_000])
def test_a_replay_of_resampled_audio_yields_the_same_bytes(
    rate_hz: int, seconds: float, position: int, sizes: list[int]
) -> None:
    """Wherever it starts, and although its resampler did not hear the beginning."""
    sound = tone(int(seconds * rate_hz), rate_hz)
    frames: list[bytes] = []
    at = 0
    while at < len(sound):
        size = 2 * sizes[len(frames) % len(sizes)]
        frames.append(sound[at : at + size])
        at += size
    whole, first = Bench(window=32), Bench(window=32)
    committed = False
    for seq, pcm in enumerate(frames):
        for bench in (whole, first):
            bench.arrive(seq, pcm, rate_hz=rate_hz)
        committed = committed or first.intake.commit_to(position // 2)  # there may be more of them
    first.intake.commit_to(position)
    start = first.intake.commit
    again = Bench(start, window=32)
    for seq in range(start.seq, len(frames)):
        again.arrive(seq, frames[seq], rate_hz=rate_hz)
    for bench in (whole, first, again):
        bench.intake.finish(len(frames))
    assert again.recorder.pcm == whole.recorder.pcm[2 * start.sample :]
    for bench in (first, again):
        bench.intake.commit_to(1_000_000)
    assert first.intake.commit == again.intake.commit
    assert first.intake.commit.seq == len(frames)


def test_a_replay_of_resampled_audio_begins_little_before_its_commit() -> None:
    bench = Bench(window=200)
    for seq in range(100):  # of 1,365 samples at 16 kHz
        bench.arrive(seq, tone(4_095, 48_000), rate_hz=48_000)
    for position in (700, 20_000, 100_000):
        assert bench.intake.commit_to(position)
        commit = bench.intake.commit
        assert commit.run_samples == 4_095 * commit.seq
        assert commit.skip_samples == position - 1_365 * commit.seq
        assert commit.skip_samples <= 16_000 + 1_600 + 1_365


def test_a_change_of_rate_begins_another_run_also_in_a_replay() -> None:
    frames = [(tone(22_050, 44_100), 44_100), (tone(8_000, 16_000), 16_000)] * 2
    first = Bench()
    for seq, (pcm, rate_hz) in enumerate(frames):
        first.arrive(seq, pcm, rate_hz=rate_hz)
    first.intake.commit_to(17_000)
    start = first.intake.commit
    assert (start.seq, start.run_samples) == (2, 0)
    again = Bench(start)
    for seq in (2, 3):
        again.arrive(seq, frames[seq][0], rate_hz=frames[seq][1])
    for bench in (first, again):
        bench.intake.finish(4)
    assert again.recorder.pcm == first.recorder.pcm[2 * start.sample :]


# -- marks ----------------------------------------------------------------------------------------


def test_an_utterance_is_held_before_its_frame_and_ended_after_it() -> None:
    bench = Bench()
    bench.arrive(0, frame(0))
    bench.arrive(2, mark=Mark.END, number=1)
    bench.arrive(1, frame(1), mark=Mark.HOLD)
    bench.arrive(3, frame(3), mark=Mark.DISCARD, number=2)
    assert bench.recorder.marks == ["hold at 10", "end 1 at 20", "discard 2 at 30"]


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 44_100])
def test_at_the_end_of_an_utterance_the_resampler_keeps_nothing_back(rate_hz: int) -> None:
    bench = Bench()
    bench.arrive(0, tone(rate_hz, rate_hz), rate_hz=rate_hz)
    assert len(bench.recorder.samples) < 16_000
    bench.arrive(1, rate_hz=rate_hz, mark=Mark.END, number=1)
    assert abs(len(bench.recorder.samples) - 16_000) <= 1
    bench.arrive(2, tone(rate_hz, rate_hz), rate_hz=rate_hz)
    bench.intake.finish(3)
    assert abs(len(bench.recorder.samples) - 32_000) <= 2


def test_a_mark_without_a_number_is_none() -> None:
    bench = Bench()
    bench.arrive(0, frame(0), mark=Mark.END)
    assert bench.recorder.marks == []
    bench.intake.commit_to(10)
    assert bench.intake.commit == Commit(1, 0, 10)


def test_behind_a_fence_no_mark_counts() -> None:
    bench = Bench(tolerated=0)
    bench.arrive(0, frame(0), corrupt=True, mark=Mark.HOLD)
    bench.arrive(1, mark=Mark.END, number=1)
    assert bench.recorder.marks == []


def test_a_mark_is_replayed_until_its_sentence_was_reported() -> None:
    bench = Bench()
    bench.arrive(0, frame(0))
    bench.arrive(1, mark=Mark.END, number=1)
    bench.intake.commit_to(10)  # silence ended an utterance just before the mark
    assert bench.intake.commit == Commit(1, 0, 10)
    again = Bench(bench.intake.commit)
    again.arrive(1, mark=Mark.END, number=1)
    assert again.recorder.marks == ["end 1 at 0"]
    bench.arrive(2, frame(2))
    bench.intake.utterance_ended()
    bench.intake.commit_to(20)
    assert bench.intake.commit == Commit(3, 0, 20)


def test_a_held_frame_of_which_nothing_is_left_to_hear_begins_no_utterance() -> None:
    bench = Bench(Commit(0, 10, 10))
    bench.arrive(0, frame(0), mark=Mark.HOLD)
    bench.arrive(1, frame(1), mark=Mark.HOLD)
    assert bench.recorder.marks == ["hold at 0"]
    assert bench.recorder.pcm == frame(1)


# -- the end --------------------------------------------------------------------------------------


def test_the_recorder_hears_of_the_end_once_all_frames_before_it_are_fed() -> None:
    bench = Bench()
    bench.arrive(0, frame(0))
    bench.intake.finish(3)
    bench.arrive(2, frame(2))
    assert bench.recorder.ends == []
    bench.arrive(1, frame(1))
    assert bench.recorder.ends == ["end"]
    bench.intake.finish(3)
    assert bench.recorder.ends == ["end"]


def test_a_stream_that_was_fed_already_or_is_empty_ends_at_once() -> None:
    for frames in (0, 2):
        bench = Bench()
        for seq in range(frames):
            bench.arrive(seq, frame(seq))
        bench.intake.finish(frames)
        assert bench.recorder.ends == ["end"]


def test_a_backlog_delays_the_end() -> None:
    bench = Bench()
    bench.recorder.busy = True
    bench.arrive(0, frame(0))
    bench.intake.finish(1)
    assert bench.recorder.ends == []
    bench.recorder.busy = False
    bench.intake.pump()
    assert bench.recorder.ends == ["end"]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_the_end_of_resampled_audio_is_heard_too(rate_hz: int) -> None:
    bench = Bench()
    bench.arrive(0, tone(rate_hz, rate_hz), rate_hz=rate_hz)
    bench.intake.finish(1)
    assert abs(len(bench.recorder.samples) - 16_000) <= 1
    assert np.abs(bench.recorder.samples[-100:]).max() > 9_000
    assert bench.intake.commit_to(20_000)
    assert bench.intake.commit.seq == 1


def test_behind_a_fence_the_end_brings_no_more_audio() -> None:
    bench = Bench(tolerated=0)
    bench.arrive(0, tone(48_000, 48_000), rate_hz=48_000)
    heard = bench.recorder.pcm
    bench.arrive(1, tone(480, 48_000), rate_hz=48_000, corrupt=True)
    bench.intake.finish(2)
    assert bench.recorder.pcm == heard
    assert bench.recorder.ends == ["end"]
