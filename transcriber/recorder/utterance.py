"""Recordings on their way from the recorder to their text, and what they allow to commit."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import Future
from typing import Final

from transcriber.engines.base import Transcript
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ


@dataclasses.dataclass(eq=False, slots=True)
class Utterance:
    """One recording that stopped. Samples are absolute positions in the session."""

    start_sample: int
    end_sample: int
    early: Future[Transcript] | None = None
    """Transcription of all but its closing silence, begun before it stopped."""
    aborted: bool = False
    mark: int = 0
    """The client's number of the mark that ended it; 0: none did."""
    empty: bool = False
    """Nothing was being recorded at that mark: there is no audio, and nothing is committed."""


class CommitTracker:
    """When audio that is in no recording may be forgotten.

    A recorder that listens *rebases* now and then: it becomes like a fresh one but for its
    pre-roll. Once the pre-roll, too, lies behind that point, a fresh recorder fed from there
    continues in the same way, and all before it may go, if no recording still waits for its text.
    """

    INTERVAL: Final = 5 * SAMPLE_RATE_HZ
    """Rebase this long after the last time, in a quiet moment."""
    LATEST: Final = 10 * SAMPLE_RATE_HZ
    """Rebase this long after the last time in any case but speech."""

    def __init__(self, start_sample: int, pre_roll_samples: int) -> None:
        self._pre_roll = pre_roll_samples
        self._base = start_sample
        self._pending: int | None = None
        self._held: int | None = None
        self._open_utterances = 0
        self._lock = threading.Lock()

    def should_rebase(self, position: int, quiet: bool, speech: bool) -> bool:
        """Whether a listening recorder at ``position`` becomes fresh now.

        Args:
            quiet: no detector heard speech for a while.
            speech: the deciding detector hears speech now.
        """
        age = position - self._base
        due = (age >= self.INTERVAL and quiet) or (age >= self.LATEST and not speech)
        if due:
            self._base = self._pending = position
        return due

    def recording_started(self) -> None:
        """The recorder records: its pre-roll may reach behind the last rebase."""
        self._pending = None

    def recording_stopped(self, position: int) -> None:
        """A recording awaits its text; the recorder is fresh at ``position``."""
        self._base = position
        with self._lock:
            self._open_utterances += 1

    def listening_at(self, position: int) -> int | None:
        """The sample to commit, when the recorder still listens at ``position``."""
        if self._pending is None or position - self._pending < self._pre_roll:
            return None
        with self._lock:
            self._held, self._pending = self._pending, None
        return self._release()

    def utterance_done(self) -> int | None:
        """A recording's text was reported; the sample to commit now, beyond its end, if any."""
        with self._lock:
            self._open_utterances -= 1
        return self._release()

    def _release(self) -> int | None:
        with self._lock:
            if self._open_utterances:
                return None
            sample, self._held = self._held, None
            return sample
