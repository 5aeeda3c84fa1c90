"""What became of one frame, and of all frames of a session in numbers, for its report."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.envelope import Code, Verdict
from common.events import Failure, FrameVerdict, ServerEvent
from gateway.healing import Mended
from gateway.latency import LatencyHistogram, bucket_of
from gateway.rejection import RejectionPolicy
from gateway.sequence import Anomaly

MAX_REPORTED_FAILURES: Final = 50


class Judged(NamedTuple):
    """What became of one frame, once its verdict's turn has come.

    Attributes:
        message: the client's message.
        verdict: with the diagnosis that only its session could make.
        bucket: of its latency, as :func:`gateway.latency.bucket_of` has it.
        failures: corrupt frames of the session so far.
        rejects: it was one too many.
        anomaly: where the client's own counter jumped.
        events: for those who hear the session.
        mended: it was asked for again, and came as it was sent.
        spoiled: then: as it arrived first, and the verdict on that.
        missing: it never came; what is said of its verdict is of no matter.
    """

    message: bytes
    verdict: Verdict
    latency_s: float
    bucket: int
    failures: int
    rejects: bool
    anomaly: Anomaly | None
    events: list[ServerEvent]
    mended: Mended | None = None
    missing: bool = False
    spoiled: tuple[bytes, Verdict] | None = None


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


def verdict_event(
    verdict: Verdict, latency_s: float, failures: int, policy: RejectionPolicy
) -> FrameVerdict:
    """What a client is told of one frame, after so many failures."""
    return FrameVerdict(
        sequence=verdict.seq,
        verdict=Code(verdict.code).name.lower(),
        latency_ms=round(latency_s * 1000, 3),
        expected_length=verdict.expected_length,
        actual_length=verdict.actual_length,
        expected_checksum=verdict.expected_checksum,
        actual_checksum=verdict.actual_checksum,
        diagnosis=verdict.diagnosis,
        failures=failures,
        tolerated=policy.limit,
        likely=verdict.likely,
    )
