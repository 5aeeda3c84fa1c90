"""What RealtimeSTT's recorder calls, and what becomes of it on its lane."""

from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest

from transcriber.engines.base import AudioRequest, Transcript
from transcriber.executors import (
    NOTHING,
    FinalExecutor,
    RealtimeExecutor,
    TranscriptFuture,
    resolve,
)
from transcriber.schedule import Kind

AUDIO = np.zeros(16_000, dtype=np.float32)


class KeptLane:
    """Keeps what is submitted; answers at once, if it is told how."""

    def __init__(self, answer: str | None = None) -> None:
        self.submitted: list[tuple[str, Kind, AudioRequest]] = []
        self.promoted: list[TranscriptFuture] = []
        self._answer = answer

    def submit(self, session: str, kind: Kind, request: AudioRequest) -> TranscriptFuture:
        self.submitted.append((session, kind, request))
        future = TranscriptFuture()
        if self._answer is not None:
            resolve(future, Transcript(self._answer))
        return future

    def promote(self, future: TranscriptFuture) -> None:
        self.promoted.append(future)

    def forget(self, session: str) -> None:
        raise NotImplementedError

    def waiting(self) -> tuple[int, int]:
        return 0, 0

    def wait_s(self) -> float:
        return 0.0

    def close(self) -> None:
        raise NotImplementedError


def test_finals_early_finals_and_partials_are_told_apart() -> None:
    lane = KeptLane("text")
    finals, partials = FinalExecutor(lane, "s"), RealtimeExecutor(lane, "s")
    finals.submit(AUDIO, "", word_timestamps=True)
    early = finals.submit(AUDIO, "de", False, early=True)
    finals.promote(early)
    assert partials.transcribe(AUDIO, "en").text == "text"
    assert [kind for _, kind, _ in lane.submitted] == [Kind.FINAL, Kind.EARLY, Kind.REALTIME]
    final, first, partial = (request for _, _, request in lane.submitted)
    assert (final.language, final.use_prompt, final.word_timestamps) == (None, True, True)
    assert (first.language, first.use_prompt) == ("de", False)
    assert partial.realtime
    assert lane.promoted == [early]


def test_a_closed_executor_takes_nothing_more() -> None:
    lane = KeptLane()
    executor = FinalExecutor(lane, "s")
    executor.close()
    with pytest.raises(CancelledError):
        executor.submit(AUDIO)
    partials = RealtimeExecutor(lane, "s")
    partials.close()
    assert partials.transcribe(AUDIO) == NOTHING
    assert not lane.submitted


def test_a_future_is_settled_once_and_not_after_it_was_cancelled() -> None:
    future = TranscriptFuture()
    future.cancel()
    resolve(future, Transcript("late"))
    assert future.cancelled()
    failed = TranscriptFuture()
    resolve(failed, ValueError("no"))
    assert isinstance(failed.exception(), ValueError)
