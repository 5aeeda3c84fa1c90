"""Frames are fed in order, each once, while the recorder keeps up and not too many are corrupt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import Commit
from tests.unit.transcriber.intake_bench import (
    SESSION,
    START,
    Bench,
    frame,
    tone,
)
from transcriber.resequencer import Arrival

# -- order ----------------------------------------------------------------------------------------


@given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=10))
def test_frames_in_any_order_and_repeated_are_fed_as_they_were_sent(
    order: list[int], repeated: list[int]
) -> None:
    bench = Bench()
    for seq in [*order, *repeated]:
        bench.arrive(seq, frame(seq))
    assert bench.recorder.pcm == b"".join(frame(seq) for seq in range(8))
    assert bench.intake.next_seq == 8


def test_the_acknowledgement_says_what_was_fed_what_is_held_and_what_is_missing() -> None:
    bench = Bench()
    for seq in (0, 2, 5):
        bench.arrive(seq, frame(seq))
    ack = bench.intake.ack()
    assert (ack.session, ack.epoch) == (SESSION, 7)
    assert (ack.fed, ack.held_below, ack.gaps) == (1, 6, [1, 3, 4])
    assert ack.commit == START


def test_the_tap_sees_exactly_what_is_fed() -> None:
    bench = Bench(Commit(0, 4, 4), tolerated=1)
    bench.arrive(0, frame(0))
    bench.arrive(1, rate_hz=48_000, corrupt=True, hole_samples=480)
    bench.arrive(2, tone(4096, 48_000), rate_hz=48_000)
    bench.arrive(3, frame(3), corrupt=True)
    bench.intake.finish(4)
    assert bench.tapped == bench.recorder.pcm != b""


# -- backpressure ---------------------------------------------------------------------------------


def test_a_backlogged_recorder_is_fed_nothing_and_nothing_is_acknowledged_as_fed() -> None:
    bench = Bench()
    bench.recorder.busy = True
    for seq in range(3):
        assert bench.arrive(seq, frame(seq)) is Arrival.HELD
    assert not bench.intake.pump()
    assert bench.recorder.pcm == b""
    assert bench.intake.ack().fed == 0
    bench.recorder.busy = False
    assert bench.intake.pump()
    assert bench.recorder.pcm == frame(0) + frame(1) + frame(2)


def test_feeding_stops_with_the_frame_that_fills_the_recorder() -> None:
    bench = Bench()
    bench.recorder.busy_after = 1
    bench.arrive(1, frame(1))
    bench.arrive(0, frame(0))
    assert bench.recorder.pcm == frame(0)
    assert bench.intake.next_seq == 1


def test_what_waits_for_a_recorder_that_hangs_is_bounded_by_the_window() -> None:
    bench = Bench(window=4)
    bench.recorder.busy = True
    arrivals = [bench.arrive(seq, frame(seq)) for seq in range(100)]
    assert arrivals.count(Arrival.HELD) == 4


# -- corruption -----------------------------------------------------------------------------------


def test_nothing_after_one_corrupt_frame_too_many_is_fed() -> None:
    bench = Bench(tolerated=1)
    for seq in range(5):
        bench.arrive(seq, frame(seq), corrupt=seq in (1, 3))
    assert bench.intake.fenced
    assert bench.recorder.pcm == frame(0) + frame(1) + frame(2)
    assert bench.intake.ack().fed == 5  # the window must not stall


def test_corrupt_frames_count_in_the_order_of_the_stream_not_of_arrival() -> None:
    bench = Bench(tolerated=1)
    bench.arrive(3, frame(3), corrupt=True)
    bench.arrive(2, frame(2), corrupt=True)
    assert not bench.intake.fenced
    bench.arrive(0, frame(0))
    bench.arrive(1, frame(1))
    assert bench.recorder.pcm == frame(0) + frame(1) + frame(2)


@given(
    st.lists(st.booleans(), max_size=12),
    st.integers(0, 4),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_the_fence_stands_where_the_count_exceeds_what_is_tolerated(
    corrupt: list[bool], tolerated: int, before: int, random: object
) -> None:
    bench = Bench(tolerated=tolerated, failures=before)
    order = list(range(len(corrupt)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for seq in order:
        bench.arrive(seq, frame(seq), corrupt=corrupt[seq])
    counts = [before + sum(corrupt[: seq + 1]) for seq in range(len(corrupt))]
    fed = [
        seq for seq, count in enumerate(counts) if count <= tolerated or not any(corrupt[: seq + 1])
    ]
    assert bench.recorder.pcm == b"".join(map(frame, fed))


def test_failures_before_a_replay_count() -> None:
    bench = Bench(Commit(4, 0, 40), tolerated=2, failures=2)
    bench.arrive(4, frame(4))
    bench.arrive(5, frame(5), corrupt=True)
    bench.arrive(6, frame(6))
    assert bench.intake.fenced
    assert bench.recorder.pcm == frame(4)


def test_a_duplicate_of_a_corrupt_frame_is_one_failure() -> None:
    bench = Bench(tolerated=1)
    for seq in (0, 0, 0, 1):
        bench.arrive(seq, frame(seq), corrupt=seq == 0)
    assert not bench.intake.fenced
    assert bench.recorder.pcm == frame(0) + frame(1)


def test_without_a_limit_nothing_fences() -> None:
    bench = Bench(tolerated=-1, failures=10)
    for seq in range(100):
        bench.arrive(seq, frame(seq), corrupt=True)
    assert not bench.intake.fenced
    assert bench.intake.next_seq == 100


# -- holes ----------------------------------------------------------------------------------------


def test_a_hole_is_silence_of_the_frames_length() -> None:
    bench = Bench()
    bench.arrive(0, frame(0))
    bench.arrive(1, corrupt=True, hole_samples=500)
    bench.arrive(2, frame(2))
    assert bench.recorder.pcm == frame(0) + bytes(1000) + frame(2)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_a_hole_at_another_rate_keeps_the_time_line_whole(rate_hz: int) -> None:
    bench = Bench()
    sound = tone(rate_hz // 2, rate_hz)
    bench.arrive(0, sound, rate_hz=rate_hz)
    bench.arrive(1, rate_hz=rate_hz, corrupt=True, hole_samples=rate_hz)
    bench.arrive(2, sound, rate_hz=rate_hz)
    bench.intake.finish(3)
    heard = bench.recorder.samples
    assert abs(len(heard) - 2 * 16_000) <= 1
    assert np.abs(heard[9_000:23_000]).max() <= 1
    assert np.abs(heard[:7_000]).max() > 9_000
    assert np.abs(heard[25_000:]).max() > 9_000


def test_a_frame_that_could_not_be_read_is_nothing_and_does_not_disturb_the_resampler() -> None:
    """Its rate is 0, which no resampler takes."""
    frames = [tone(12_000, 48_000)[i : i + 8190] for i in range(0, 24_000, 8190)]
    plain, disturbed = Bench(), Bench()
    seq = 0
    for number, pcm in enumerate(frames):
        plain.arrive(number, pcm, rate_hz=48_000)
        disturbed.arrive(seq, pcm, rate_hz=48_000)
        disturbed.arrive(seq + 1, rate_hz=0, corrupt=True)
        seq += 2
    assert disturbed.recorder.pcm == plain.recorder.pcm
    assert disturbed.intake.next_seq == seq
