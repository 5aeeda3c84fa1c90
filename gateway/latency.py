"""Percentiles of latencies in constant memory."""

from __future__ import annotations

import bisect
from typing import Final

_STEPS: Final = (
    10,
    11.2,
    12.5,
    14,
    16,
    18,
    20,
    22.4,
    25,
    28,
    31.5,
    35.5,
    40,
    45,
    50,
    56,
    63,
    71,
    80,
    90,
)
"""Preferred numbers, so that the bounds of objectives (0.1 s, 0.5 s) are among them."""
_LEAST_MS: Final = 0.05
_MOST_MS: Final = 50_000.0
_BOUNDS_MS: Final = [
    bound_ms
    for power in range(-3, 5)
    for step in _STEPS
    if _LEAST_MS <= (bound_ms := round(step * 10.0**power, 6)) <= _MOST_MS
]
_SHOWN: Final = frozenset(
    round(step * 10.0**power, 6) for power in range(-3, 5) for step in (10, 20, 50)
)
"""Bounds that Prometheus gets, in ms."""


def bucket_of(latency_s: float) -> int:
    """The bucket that a latency falls into, the same in all histograms."""
    return bisect.bisect_left(_BOUNDS_MS, latency_s * 1000)


class LatencyHistogram:
    """Counts latencies in buckets that grow by an eighth, from 50 µs to 50 s."""

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
            if bound_ms in _SHOWN:
                found.append((f"{bound_ms / 1000:.6g}", float(cumulative)))
        return [*found, ("+Inf", float(self._total))], self._sum_s
