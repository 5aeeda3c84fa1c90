"""Maps positions in a recorder's audio back to the client's frames, to say what is committed."""

from __future__ import annotations

from collections import deque

from common.envelope import Commit


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
        # (seq, position of its first sample, position after its last one)
        self._frames: deque[tuple[int, int, int]] = deque()
        self._kept: deque[int] = deque()
        self._frame_start = start.sample - start.skip_samples

    def fed(self, seq: int, samples: int, to_come: int = 0) -> None:
        """Frame ``seq`` added ``samples`` to the audio (what a replay skipped is not counted).

        A resampler gives out the last ``to_come`` samples of the frame only after the next one
        came in. They are this frame's all the same: a replay whose resampler starts with the next
        frame does not yield them.
        """
        self.fed_samples += samples
        end = self.fed_samples + to_come
        if end > self._frame_start:  # one without samples is covered with the one after it
            self._frames.append((seq, self._frame_start, end))
        self._frame_start = end
        self._next_seq = seq + 1

    def flushed(self, samples: int) -> None:
        """All that was still to come was fed, as ``samples``: rounding may have said one more."""
        fed = self.fed_samples = self._frame_start = self.fed_samples + samples
        self._frames = deque((seq, min(a, fed), min(b, fed)) for seq, a, b in self._frames)

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
        while self._frames and self._frames[0][2] <= sample:
            self._frames.popleft()
        if self._frames:
            seq, frame_start, _ = self._frames[0]
            self.commit = Commit(seq, sample - frame_start, sample)
        else:
            self.commit = Commit(self._next_seq, 0, sample)
        if self._kept and self.commit.seq > self._kept[0]:
            self.commit = Commit(self._kept[0], 0, sample)
        return self.commit
