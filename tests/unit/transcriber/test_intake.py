"""From frames in any order to what one recorder is fed and what the gateway is told."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from common.envelope import Audio, Commit, Open
from common.wire import Mark
from transcriber.intake import Intake
from transcriber.resequencer import Arrival

SESSION = b"s" * 16
START = Commit(0, 0, 0)


class Recorder:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        self.busy = False
        self.pcm = b""
        self.ends: list[str] = []
        self.marks: list[str] = []
        self.busy_after = math.inf

    def ask_for_room(self) -> bool:
        return not self.busy

    def feed(self, pcm16: bytes | memoryview) -> None:
        assert not self.ends
        self.pcm += pcm16
        self.busy = len(self.pcm) >= self.busy_after

    def hold(self) -> None:
        self.marks.append(f"hold at {len(self.pcm) // 2}")

    def end_utterance(self, number: int, *, discard: bool) -> None:
        what = "discard" if discard else "end"
        self.marks.append(f"{what} {number} at {len(self.pcm) // 2}")

    def finish(self) -> None:
        self.ends.append("end")

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        return np.frombuffer(self.pcm, dtype="<i2")


class Bench:
    """An intake with the recorder and the tap that it feeds."""

    def __init__(
        self, start: Commit = START, *, window: int = 16, tolerated: int = -1, failures: int = 0
    ) -> None:
        self.recorder = Recorder()
        self.tapped = b""
        opened = Open("gateway", SESSION, start, window, {}, tolerated, failures, epoch=7)
        self.intake = Intake(opened, self.recorder, self._tap)

    def _tap(self, pcm: bytes | memoryview) -> None:
        self.tapped += pcm

    def arrive(
        self,
        seq: int,
        pcm: bytes = b"",
        *,
        rate_hz: int = 16_000,
        corrupt: bool = False,
        hole_samples: int = 0,
        mark: Mark = Mark.NONE,
        number: int = 0,
    ) -> Arrival:
        header = Audio(SESSION, seq, rate_hz, corrupt, hole_samples, mark=mark, mark_number=number)
        arrival = self.intake.accept(header, pcm)
        self.intake.pump()
        return arrival


def frame(seq: int, samples: int = 10) -> bytes:
    """PCM that tells where it comes from."""
    return np.arange(100 * seq + 1, 100 * seq + 1 + samples, dtype="<i2").tobytes()


def tone(samples: int, rate_hz: int) -> bytes:
    """A tone of 200 Hz."""
    turns = np.arange(samples) * (200 / rate_hz)
    sound: npt.NDArray[np.int16] = np.rint(np.sin(2 * np.pi * turns) * 10_000).astype("<i2")
    return sound.tobytes()


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
