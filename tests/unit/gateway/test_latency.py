"""Percentiles in constant memory: how far from the true ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency import LatencyHistogram, bucket_of

LEAST_S, MOST_S = 50e-6, 44.0
GROWTH = 16 / 14  # the widest step of the preferred numbers
ROUNDING_MS = 0.0005

latencies = st.lists(st.floats(LEAST_S, MOST_S), min_size=1, max_size=200)


def histogram(latencies_s: list[float]) -> LatencyHistogram:
    counted = LatencyHistogram()
    for latency_s in latencies_s:
        counted.add(latency_s)
    return counted


@given(latencies, st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_percentile_is_never_less_than_the_true_one_and_at_most_a_bucket_more(
    latencies_s: list[float], fraction: float
) -> None:
    rank = max(1, math.ceil(fraction * len(latencies_s)))
    true_ms = sorted(latencies_s)[rank - 1] * 1000
    found_ms = histogram(latencies_s).percentile_ms(fraction)
    assert true_ms - ROUNDING_MS <= found_ms <= true_ms * GROWTH * 1.001 + ROUNDING_MS


@given(latencies)
def test_percentiles_rise_with_their_fraction(latencies_s: list[float]) -> None:
    summary = histogram(latencies_s).summary()
    assert list(summary) == ["p50", "p95", "p99"]
    assert summary["p50"] <= summary["p95"] <= summary["p99"]


def test_without_latencies_percentiles_are_zero() -> None:
    assert LatencyHistogram().summary() == {"p50": 0.0, "p95": 0.0, "p99": 0.0}


@pytest.mark.parametrize("latency_s, shown_ms", [(0.0, 0.05), (-1.0, 0.05), (3_600.0, 50_000.0)])
def test_what_lies_outside_the_range_counts_at_its_end(latency_s: float, shown_ms: float) -> None:
    assert histogram([latency_s]).percentile_ms(0.5) == pytest.approx(shown_ms, rel=0.01)


@given(latencies)
def test_a_bucket_that_is_known_counts_the_same(latencies_s: list[float]) -> None:
    known = LatencyHistogram()
    for latency_s in latencies_s:
        known.count(bucket_of(latency_s), latency_s)
    assert known.buckets() == histogram(latencies_s).buckets()


@given(latencies)
def test_prometheus_buckets_hold_what_is_at_most_their_bound(latencies_s: list[float]) -> None:
    buckets, sum_s = histogram([*latencies_s, 3_600.0]).buckets()
    assert sum_s == pytest.approx(sum(latencies_s) + 3_600)
    assert buckets[-1] == ("+Inf", float(len(latencies_s) + 1))
    for bound, count in buckets[:-1]:
        bound_s = float(bound)
        surely = sum(latency_s < bound_s * 0.99999 for latency_s in latencies_s)
        perhaps = sum(latency_s < bound_s * 1.00001 for latency_s in latencies_s)
        assert surely <= count <= perhaps


def test_the_bounds_of_objectives_are_buckets() -> None:
    shown = {float(bound) for bound, _ in LatencyHistogram().buckets()[0]}
    assert {0.001, 0.01, 0.1, 0.5, 1.0, 5.0} <= shown
