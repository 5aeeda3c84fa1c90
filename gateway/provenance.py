"""Which frames a sentence was heard in, and how each of them was judged.

Positions are in 16 kHz samples from the start of the session, as the recorder counts them. Kept is
one entry a frame, from its verdict until no sentence can lie in it any more.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from common.receipts.statement import Heard, Judgement, Provenance
from gateway.window import RECORDER_RATE_HZ


class Stretch(NamedTuple):
    """One frame on the recorder's time line."""

    seq: int
    start: float
    end: float
    judgement: Judgement
    heard: Heard
    left_out: float
    """Samples at 16 kHz that the frame had and that were not heard."""
    algorithm: str


class ProvenanceLog:
    """The judged frames of one session, and what sentences are made of.

    Args:
        limit: most frames kept; the oldest go first, and sentences over them say less.
        start: the position of the first frame's first sample.
    """

    def __init__(self, limit: int, start: float = 0.0) -> None:
        self._frames: deque[Stretch] = deque(maxlen=limit)
        self._end = start
        self._replayed_below = 0

    def __len__(self) -> int:
        return len(self._frames)

    def judged(
        self,
        seq: int,
        samples: int,
        rate_hz: int,
        judgement: Judgement,
        heard: Heard,
        algorithm: str,
    ) -> None:
        """The next frame in order was judged.

        Args:
            samples: that it has, at ``rate_hz``; 0 where it cannot be read.
        """
        length = samples * RECORDER_RATE_HZ / rate_hz if rate_hz else 0.0
        advance, left_out = (0.0, length) if heard is Heard.NOTHING else (length, 0.0)
        start, self._end = self._end, self._end + advance
        self._frames.append(Stretch(seq, start, self._end, judgement, heard, left_out, algorithm))

    def replayed(self, below_seq: int) -> None:
        """Frames below this one are sent to another recorder again."""
        self._replayed_below = max(self._replayed_below, below_seq)

    def of(self, start_sample: int, end_sample: int, engine: str, model: str) -> Provenance:
        """What the sentence between two positions was made of."""
        counts = dict.fromkeys(Judgement, 0.0)
        silence = missing = 0.0
        lost = 0
        first: int | None = None
        last = -1
        algorithms: dict[str, None] = {}
        for frame in self._frames:
            if frame.end < start_sample or frame.start > end_sample:
                continue
            inside = min(frame.end, end_sample) - max(frame.start, start_sample)
            if inside <= 0 and (frame.start < frame.end or frame.start >= end_sample):
                continue  # it only touches; or nothing was heard of it, and that after the end
            first = frame.seq if first is None else first
            last = frame.seq
            missing += frame.left_out
            lost += frame.judgement is Judgement.MISSING
            if frame.heard is Heard.SILENCE:
                silence += inside
            elif frame.heard is Heard.AS_RECEIVED:
                counts[frame.judgement] += inside
            if frame.algorithm:
                algorithms[frame.algorithm] = None
        return Provenance(
            start_sample=start_sample,
            end_sample=end_sample,
            start_ms=start_sample * 1000 // RECORDER_RATE_HZ,
            end_ms=end_sample * 1000 // RECORDER_RATE_HZ,
            first_frame=first if first is not None else -1,
            last_frame=last,
            verified=round(counts[Judgement.OK]),
            unverified=round(counts[Judgement.UNVERIFIED]),
            healed=round(counts[Judgement.HEALED]),
            corrupt=round(counts[Judgement.CORRUPT]),
            silence=round(silence),
            missing=round(missing),
            lost_frames=lost,
            algorithm=", ".join(algorithms),
            engine=engine,
            model=model,
            replayed=first is not None and first < self._replayed_below,
        )

    def forget(self, before_sample: int) -> None:
        """No sentence begins before this position any more."""
        while self._frames and self._frames[0].end <= before_sample:
            self._frames.popleft()
