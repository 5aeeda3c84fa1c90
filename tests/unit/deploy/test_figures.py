"""deploy.figures: what happened between two looks at a stage's metrics."""

from __future__ import annotations

import pytest

from deploy.figures import Labels, Rates, Samples

LATENCY = "stt_gateway_verdict_latency_seconds_bucket"


def gateway(
    frames: float, corrupt: float, buckets: dict[str, float], start: float = 1.0
) -> Samples:
    return {
        ("process_start_time_seconds", Labels()): start,
        ("process_cpu_seconds_total", Labels()): frames / 100,
        ("process_resident_memory_bytes", Labels()): 2**20,
        ("stt_gateway_frames_total", Labels()): frames,
        ("stt_gateway_verdicts_total", Labels({("verdict", "ok")})): frames - corrupt,
        ("stt_gateway_verdicts_total", Labels({("verdict", "corrupt")})): corrupt,
        **{(LATENCY, Labels({("le", bound)})): count for bound, count in buckets.items()},
    }


def test_rates_are_what_was_gained_in_the_time() -> None:
    rates = Rates()
    rates.observe("gateway", gateway(100, 0, {}), 10.0)
    figures = rates.observe("gateway", gateway(150, 10, {}), 12.0)
    assert figures.frames_per_s == 25.0
    assert figures.ok_per_s == 20.0
    assert figures.corrupt_per_s == 5.0
    assert figures.unverified_per_s is None
    assert figures.cpu == pytest.approx(0.25)


def test_the_first_look_has_no_rates_yet() -> None:
    figures = Rates().observe("gateway", gateway(100, 0, {}), 10.0)
    assert figures.frames_per_s is None
    assert figures.memory_bytes == 2**20


def test_latency_is_that_of_the_frames_since_the_last_look() -> None:
    rates = Rates()
    rates.observe("gateway", gateway(0, 0, {"0.1": 0, "1": 1000, "+Inf": 1000}), 0.0)
    figures = rates.observe("gateway", gateway(0, 0, {"0.1": 100, "1": 1100, "+Inf": 1100}), 1.0)
    assert figures.latency_p95_s == 0.1


def test_what_is_beyond_the_last_bound_counts_as_it() -> None:
    rates = Rates()
    rates.observe("gateway", gateway(0, 0, {"1": 0, "+Inf": 0}), 0.0)
    figures = rates.observe("gateway", gateway(0, 0, {"1": 0, "+Inf": 10}), 1.0)
    assert figures.latency_p95_s == 1.0


def test_a_process_that_was_started_again_begins_anew() -> None:
    rates = Rates()
    rates.observe("gateway", gateway(100, 0, {}), 10.0)
    assert rates.observe("gateway", gateway(5, 0, {}, start=2.0), 11.0).frames_per_s is None


def test_a_stage_that_does_not_answer_has_no_figures() -> None:
    rates = Rates()
    rates.observe("gateway", gateway(100, 0, {}), 10.0)
    assert rates.observe("gateway", {}, 11.0).frames_per_s is None


def test_stages_that_are_gone_are_forgotten() -> None:
    rates = Rates()
    rates.observe("verifier-2", gateway(100, 0, {}), 10.0)
    rates.keep(["gateway"])
    assert rates.observe("verifier-2", gateway(100, 0, {}), 11.0).frames_per_s is None
