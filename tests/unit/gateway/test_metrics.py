"""What the gateway's /metrics shows."""

from __future__ import annotations

import re

from prometheus_client import generate_latest

from common.envelope import Code
from gateway.latency import bucket_of
from gateway.metrics import GatewayMetrics


def scraped(metrics: GatewayMetrics) -> dict[str, float]:
    """Each sample of /metrics, by its name and labels."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def test_every_name_starts_with_that_of_the_stage() -> None:
    names = re.findall(r"(?m)^# HELP (\S+)", generate_latest(GatewayMetrics().registry).decode())
    assert len(names) > 15
    ours = ("stt_gateway_", "stt_internal_corruption_")
    assert all(name.startswith(ours) for name in names)


def test_plain_numbers_of_the_tally_are_read_when_metrics_are_scraped() -> None:
    metrics = GatewayMetrics()
    assert scraped(metrics)["stt_gateway_frames_total"] == 0
    metrics.tally.frames += 3
    metrics.tally.bytes += 1_000
    found = scraped(metrics)
    assert found["stt_gateway_frames_total"] == 3
    assert found["stt_gateway_received_bytes_total"] == 1_000
    metrics.tally.frames += 1
    assert scraped(metrics)["stt_gateway_frames_total"] == 4


def test_verdicts_are_shown_by_kind_even_those_that_did_not_occur() -> None:
    metrics = GatewayMetrics()
    for code in (Code.OK, Code.OK, Code.CORRUPT):
        metrics.tally.judged(code, bucket_of(0.002), 0.002)
    found = scraped(metrics)
    assert found['stt_gateway_verdicts_total{verdict="ok"}'] == 2
    assert found['stt_gateway_verdicts_total{verdict="corrupt"}'] == 1
    assert found['stt_gateway_verdicts_total{verdict="unverified"}'] == 0


def test_verdict_latencies_are_a_histogram_in_seconds() -> None:
    metrics = GatewayMetrics()
    for latency_s in (0.001, 0.002, 1.0):
        metrics.tally.judged(Code.OK, bucket_of(latency_s), latency_s)
    found = scraped(metrics)
    name = "stt_gateway_verdict_latency_seconds"
    assert found[f"{name}_count"] == 3
    assert abs(found[f"{name}_sum"] - 1.003) < 1e-9
    buckets = [value for key, value in found.items() if key.startswith(f"{name}_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[0] == 0
    assert buckets[-1] == 3


def test_reasons_and_links_are_labels() -> None:
    metrics = GatewayMetrics()
    metrics.refused.labels("too_large").inc()
    metrics.bad_envelopes.labels("results").inc(2)
    found = scraped(metrics)
    assert found['stt_gateway_frames_refused_total{reason="too_large"}'] == 1
    assert found['stt_gateway_bad_envelopes_total{link="results"}'] == 2


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = GatewayMetrics(), GatewayMetrics()
    one.sentences.inc()
    assert scraped(other)["stt_gateway_sentences_total"] == 0
