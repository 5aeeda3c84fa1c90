"""What became of one session's frames, in numbers: what its report is made of."""

from __future__ import annotations

from typing import Final

from common.envelope import Code, Verdict
from common.events import Failure
from gateway.latency import LatencyHistogram, bucket_of

MAX_REPORTED_FAILURES: Final = 50


class FrameCounts:
    """Counts verdicts, each once, in the order of their frames.

    Attributes:
        failures: the first corrupt frames, at most :data:`MAX_REPORTED_FAILURES`.
        seconds: of audio that could be read.
    """

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.seconds = 0.0
        self._verdicts = [0] * len(Code)
        self._latency = LatencyHistogram()

    def __getitem__(self, code: Code) -> int:
        """How many frames had that verdict."""
        return self._verdicts[code]

    def count(self, verdict: Verdict, latency_s: float) -> int:
        """Count one; the bucket of its latency."""
        self._verdicts[verdict.code] += 1
        bucket = bucket_of(latency_s)
        self._latency.count(bucket, latency_s)
        if verdict.sample_rate_hz:
            self.seconds += verdict.actual_length / verdict.sample_rate_hz
        return bucket

    def remember(self, verdict: Verdict) -> None:
        """Keep what is to be said of a corrupt frame."""
        if len(self.failures) < MAX_REPORTED_FAILURES:
            self.failures.append(
                Failure(
                    sequence=verdict.seq,
                    expected_length=verdict.expected_length,
                    actual_length=verdict.actual_length,
                    expected_checksum=verdict.expected_checksum,
                    actual_checksum=verdict.actual_checksum,
                    diagnosis=verdict.diagnosis,
                    likely=verdict.likely,
                )
            )

    def latency_ms(self) -> dict[str, float]:
        """A summary of how long verdicts took."""
        return self._latency.summary()
