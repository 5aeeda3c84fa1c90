"""What a report's numbers are made of."""

from __future__ import annotations

from common.envelope import Code, Verdict
from gateway.frame_counts import MAX_REPORTED_FAILURES, FrameCounts
from gateway.latency import bucket_of


def verdict(seq: int, code: Code, rate_hz: int = 16_000) -> Verdict:
    return Verdict(bytes(16), seq, code, 10, 8_000, 1, 2, rate_hz, diagnosis="d", likely="l")


def test_verdicts_seconds_and_latencies_are_counted() -> None:
    counts = FrameCounts()
    assert counts.count(verdict(0, Code.OK), 0.02) == bucket_of(0.02)
    counts.count(verdict(1, Code.CORRUPT, rate_hz=0), 0.02)
    assert [counts[code] for code in Code] == [1, 0, 1]
    assert counts.seconds == 0.5
    assert counts.latency_ms()["p50"] > 0


def test_only_the_first_failures_are_kept() -> None:
    counts = FrameCounts()
    for seq in range(MAX_REPORTED_FAILURES + 5):
        counts.remember(verdict(seq, Code.CORRUPT))
    assert [failure.sequence for failure in counts.failures] == list(range(MAX_REPORTED_FAILURES))
    first = counts.failures[0]
    assert (first.expected_length, first.actual_length) == (10, 8_000)
    assert (first.expected_checksum, first.actual_checksum) == (1, 2)
    assert (first.diagnosis, first.likely) == ("d", "l")
