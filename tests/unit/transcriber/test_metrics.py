"""What the transcriber's /metrics shows."""

from __future__ import annotations

import re

from prometheus_client import generate_latest

from transcriber.metrics import TranscriberMetrics
from transcriber.resequencer import Arrival
from transcriber.schedule import Kind
from transcriber.scheduler import BatchReport


def value(metrics: TranscriberMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"stt_transcriber_{name}", labels)


def test_every_name_starts_with_that_of_the_stage() -> None:
    text = generate_latest(TranscriberMetrics().registry).decode()
    names = re.findall(r"(?m)^# HELP (\S+)", text)
    assert len(names) > 10
    ours = ("stt_transcriber_", "stt_internal_corruption_")
    assert all(name.startswith(ours) for name in names)


def test_a_call_of_an_engine_counts_its_requests_waits_and_audio() -> None:
    metrics = TranscriberMetrics()
    metrics.listeners.on_batch(BatchReport(Kind.FINAL, 3, [0.1, 0.2, 0.3], 0.5, 12.5, 0))
    metrics.listeners.on_batch(BatchReport(Kind.FINAL, 1, [0.0], 0.25, 2.5, 0))
    assert value(metrics, "batch_size_count", kind="final") == 2
    assert value(metrics, "batch_size_sum", kind="final") == 4
    assert value(metrics, "inference_seconds_sum", kind="final") == 0.75
    assert value(metrics, "audio_seconds_total", kind="final") == 15.0
    assert value(metrics, "queue_delay_seconds_count", kind="final") == 4
    assert abs((value(metrics, "queue_delay_seconds_sum", kind="final") or 0) - 0.6) < 1e-9


def test_finals_and_partials_are_counted_apart() -> None:
    metrics = TranscriberMetrics()
    metrics.listeners.on_batch(BatchReport(Kind.REALTIME, 1, [0.0], 0.1, 1.0, 0))
    assert value(metrics, "batch_size_count", kind="realtime") == 1
    assert value(metrics, "batch_size_count", kind="final") == 0


def test_frames_are_counted_by_what_became_of_them() -> None:
    metrics = TranscriberMetrics()
    for arrival in Arrival:
        metrics.frames.labels(arrival.value).inc()
    assert value(metrics, "frames_total", arrival="duplicate") == 1
    assert value(metrics, "frames_total", arrival="beyond_window") == 1


def test_two_transcribers_in_one_process_count_apart() -> None:
    one, other = TranscriberMetrics(), TranscriberMetrics()
    one.sentences.inc()
    assert value(other, "sentences_total") == 0
