"""Maps positions in a recorder's audio back to the client's frames, to say what is committed."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from common.envelope import Commit
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ
from transcriber.resample import needed_from


class FedFrame(NamedTuple):
    """Where a frame lies: in the session's 16 kHz audio, and in the run of frames at its rate."""

    seq: int
    start: int
    end: int
    rate_hz: int
    run_samples: int
    """At its rate, from the start of the run to the frame."""

    def needed(self, sample: int) -> int:
        """Where in the run a replay must start that is to yield its audio from ``sample`` on."""
        if self.rate_hz == SAMPLE_RATE_HZ:
            return 0
        before = round(self.run_samples * SAMPLE_RATE_HZ / self.rate_hz)
        return needed_from(sample - self.start + before, self.rate_hz)


class Timeline:
    """Where each uncommitted frame of a session ended in its 16 kHz audio.

    Args:
        start: where the audio that this recorder is fed begins.

    Attributes:
        fed_samples: absolute position of the end of the audio fed so far.
    """

    def __init__(self, start: Commit) -> None:
        self.commit = start
        self.fed_samples = start.sample
        self._next_seq = start.seq
        self._frames: deque[FedFrame] = deque()
        # A frame so short that its resampler has no sample more to give: one with the next.
        self._too_short: FedFrame | None = None
        self._kept: deque[int] = deque()
        self._frame_start = start.sample - start.skip_samples

    def fed(
        self,
        seq: int,
        samples: int,
        to_come: int = 0,
        *,
        rate_hz: int = SAMPLE_RATE_HZ,
        run_samples: int = 0,
    ) -> None:
        """Frame ``seq`` added ``samples`` to the audio (what a replay skipped is not counted).

        A resampler gives out the last ``to_come`` samples of the frame only after the next one
        came in. They are this frame's all the same. ``run_samples`` is what its resampler, at
        ``rate_hz``, had heard before it: a part of that is kept for a replay too.
        """
        self.fed_samples += samples
        end = self.fed_samples + to_come
        frame = FedFrame(seq, self._frame_start, end, rate_hz, run_samples)
        if end > self._frame_start:  # one without samples is covered with the one after it
            if self._too_short is not None and self._too_short.run_samples < run_samples:
                frame = self._too_short._replace(end=end)
            self._frames.append(frame)
            self._too_short = None
        elif rate_hz != SAMPLE_RATE_HZ and self._too_short is None:
            self._too_short = frame
        self._frame_start = end
        self._next_seq = seq + 1

    def flushed(self, samples: int) -> None:
        """All that was still to come was fed, as ``samples``: rounding may have said one more."""
        fed = self.fed_samples = self._frame_start = self.fed_samples + samples
        self._frames = deque(
            frame._replace(start=min(frame.start, fed), end=min(frame.end, fed))
            for frame in self._frames
        )

    def keep(self, seq: int) -> None:
        """Commit nothing past the start of frame ``seq``, which has no audio, until let go."""
        self._kept.append(seq)

    def let_go(self) -> None:
        """The oldest frame that is kept need not be any more."""
        if self._kept:
            self._kept.popleft()

    def commit_to(self, sample: int) -> Commit | None:
        """Commit the audio before ``sample``; None when that is no more than before.

        A position past the audio (silence appended at the end of a stream) commits all of it.
        """
        sample = min(sample, self.fed_samples)
        if sample <= self.commit.sample:
            return None
        holds_it = next((i for i, f in enumerate(self._frames) if f.end > sample), None)
        if holds_it is None:
            self._frames.clear()
        else:
            needed = self._frames[holds_it].needed(sample)
            while holds_it and self._frames[holds_it].run_samples > needed:
                holds_it -= 1
            for _ in range(holds_it):
                self._frames.popleft()
        if self._frames:
            frame = self._frames[0]
            self.commit = Commit(frame.seq, sample - frame.start, sample, frame.run_samples)
        else:
            self.commit = Commit(self._next_seq, 0, sample)
        if self._kept and self.commit.seq > self._kept[0]:
            self.commit = Commit(self._kept[0], 0, sample)
        return self.commit
