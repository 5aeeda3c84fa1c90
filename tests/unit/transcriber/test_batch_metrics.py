"""An engine's calls are counted under the name of who makes them."""

from __future__ import annotations

from transcriber.batch_metrics import EngineMetrics
from transcriber.schedule import Kind
from transcriber.scheduler import BatchReport


def test_a_batch_is_counted_by_kind() -> None:
    metrics = EngineMetrics()
    metrics.batch(BatchReport(Kind.FINAL, 3, [0.1, 0.2, 0.3], 0.5, 9.0, 0))

    def value(name: str, kind: str) -> float | None:
        return metrics.registry.get_sample_value(f"stt_engine_{name}", {"kind": kind})

    assert value("batch_size_sum", "final") == 3
    assert value("inference_seconds_sum", "final") == 0.5
    assert value("audio_seconds_total", "final") == 9
    assert value("queue_delay_seconds_count", "final") == 3
    assert value("real_time_factor_sum", "final") == 0.5 / 9
    assert value("real_time_factor_count", "realtime") == 0
    assert value("batch_size_count", "realtime") == 0


def test_requests_of_each_kind_are_there_from_the_start() -> None:
    registry = EngineMetrics().registry
    for kind in Kind:
        labels = {"kind": kind.name.lower()}
        assert registry.get_sample_value("stt_engine_requests_total", labels) == 0
