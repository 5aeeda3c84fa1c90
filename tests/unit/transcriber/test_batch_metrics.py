"""An engine's calls are counted under the name of who makes them."""

from __future__ import annotations

from transcriber.batch_metrics import EngineMetrics
from transcriber.schedule import Dropped, Kind
from transcriber.scheduler import BatchReport


def test_a_batch_is_counted_by_kind() -> None:
    metrics = EngineMetrics()
    metrics.listeners.on_batch(BatchReport(Kind.FINAL, 3, [0.1, 0.2, 0.3], 0.5, 9.0, 0))

    def value(name: str, kind: str) -> float | None:
        return metrics.registry.get_sample_value(f"stt_engine_{name}", {"kind": kind})

    assert value("batch_size_sum", "final") == 3
    assert value("inference_seconds_sum", "final") == 0.5
    assert value("audio_seconds_total", "final") == 9
    assert value("queue_delay_seconds_count", "final") == 3
    assert value("real_time_factor_sum", "final") == 0.5 / 9
    assert value("real_time_factor_count", "realtime") == 0
    assert value("batch_size_count", "realtime") == 0


def test_a_partial_that_did_not_run_is_counted_by_why() -> None:
    metrics = EngineMetrics()
    metrics.listeners.on_dropped(Dropped.SHARE)
    for why in Dropped:
        count = metrics.registry.get_sample_value(
            "stt_engine_partials_dropped_total", {"why": why.value}
        )
        assert count == (why is Dropped.SHARE)


def test_requests_of_each_kind_are_there_from_the_start() -> None:
    registry = EngineMetrics().registry
    for kind in Kind:
        labels = {"kind": kind.name.lower()}
        assert registry.get_sample_value("stt_engine_requests_total", labels) == 0
