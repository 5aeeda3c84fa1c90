"""When audio without speech may be forgotten."""

from __future__ import annotations

from transcriber.recorder.utterance import CommitTracker

PRE_ROLL = 16_000
CHUNK = 512


def listen(tracker: CommitTracker, start: int, end: int, quiet: bool = True) -> list[int]:
    """Positions committed while the recorder listens from ``start`` to ``end``."""
    commits = []
    for position in range(start, end, CHUNK):
        sample = tracker.listening_at(position)
        if sample is not None:
            commits.append(sample)
        tracker.should_rebase(position, quiet, speech=False)
    return commits


def test_silence_is_committed_once_the_pre_roll_lies_behind_it() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    rebase = 157 * CHUNK  # the first chunk past the interval
    assert listen(tracker, 0, rebase + PRE_ROLL) == []
    assert listen(tracker, rebase + PRE_ROLL + CHUNK, rebase + PRE_ROLL + 2 * CHUNK) == [rebase]


def test_a_recording_that_begins_first_takes_the_silence_along() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    listen(tracker, 0, 160 * CHUNK)
    tracker.recording_started()
    tracker.recording_stopped(300 * CHUNK)
    assert listen(tracker, 300 * CHUNK, 400 * CHUNK) == []


def test_noise_delays_the_commit_but_does_not_prevent_it() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    assert listen(tracker, 0, 300 * CHUNK, quiet=False) == []
    assert listen(tracker, 300 * CHUNK, 400 * CHUNK, quiet=False) == [313 * CHUNK]


def test_speech_prevents_it() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    assert not tracker.should_rebase(20 * 16_000, quiet=False, speech=True)


def test_silence_after_a_recording_waits_for_its_text() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    tracker.recording_started()
    tracker.recording_stopped(100 * CHUNK)
    assert listen(tracker, 100 * CHUNK, 300 * CHUNK) == []
    assert tracker.utterance_done() == 257 * CHUNK


def test_two_recordings_hold_it_until_both_have_their_text() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    for end in (100, 200):
        tracker.recording_started()
        tracker.recording_stopped(end * CHUNK)
    listen(tracker, 200 * CHUNK, 400 * CHUNK)
    assert tracker.utterance_done() is None
    assert tracker.utterance_done() == 357 * CHUNK


def test_nothing_is_committed_when_a_text_comes_in_the_middle_of_speech() -> None:
    tracker = CommitTracker(0, PRE_ROLL)
    tracker.recording_started()
    tracker.recording_stopped(100 * CHUNK)
    assert tracker.utterance_done() is None
