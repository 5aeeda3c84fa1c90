"""Percentiles of latencies in constant memory."""

from __future__ import annotations

import bisect
from typing import Final

_LEAST_MS: Final = 0.05
_GROWTH: Final = 2**0.25
_BOUNDS_MS: Final = [_LEAST_MS * _GROWTH**step for step in range(80)]


def bucket_of(latency_s: float) -> int:
    """The bucket that a latency falls into, the same in all histograms."""
    return bisect.bisect_left(_BOUNDS_MS, latency_s * 1000)


class LatencyHistogram:
    """Counts latencies in buckets that grow by 19 %, from 50 µs to 44 s."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_MS) + 1)
        self._total = 0
        self._sum_s = 0.0

    def add(self, latency_s: float) -> None:
        """Count one latency."""
        self.count(bucket_of(latency_s), latency_s)

    def count(self, bucket: int, latency_s: float) -> None:
        """Count one latency whose bucket is known."""
        self._counts[bucket] += 1
        self._total += 1
        self._sum_s += latency_s

    def percentile_ms(self, fraction: float) -> float:
        """Upper bound of the bucket that holds this fraction (0 to 1), in ms; 0 when empty."""
        wanted = fraction * self._total
        seen = 0
        for count, bound_ms in zip(self._counts, [*_BOUNDS_MS, _BOUNDS_MS[-1]], strict=True):
            seen += count
            if seen >= wanted and seen:
                return round(bound_ms, 3)
        return 0.0

    def summary(self) -> dict[str, float]:
        """p50, p95 and p99 in ms."""
        return {f"p{p}": self.percentile_ms(p / 100) for p in (50, 95, 99)}

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative counts by upper bound in seconds, as Prometheus has them, and the sum in s."""
        cumulative = 0
        found: list[tuple[str, float]] = []
        for index, bound_ms in enumerate(_BOUNDS_MS):
            cumulative += self._counts[index]
            if index % 4 == 3:
                found.append((f"{bound_ms / 1000:.6g}", float(cumulative)))
        return [*found, ("+Inf", float(self._total))], self._sum_s
