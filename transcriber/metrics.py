"""The transcriber's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.stamps import INTERNAL_CORRUPTION, Hop
from transcriber.resequencer import Arrival
from transcriber.schedule import Kind
from transcriber.scheduler import BatchReport

SPEECH_S: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""Bounds of what a speaker waits for."""
_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class TranscriberMetrics:
    """Counters and gauges of one transcriber; names start with ``stt_transcriber_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stt_transcriber_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                f"stt_transcriber_{name}",
                text,
                ["kind"],
                registry=self.registry,
                buckets=buckets,
            )

        self.frames = counter("frames", "Frames that arrived, by what became of them", "arrival")
        self.unknown = counter("unknown_session_frames", "Frames of sessions that are not open")
        self.fenced = counter("fenced_sessions", "Sessions fenced for corruption")
        self.sentences = counter("sentences", "Recordings that were transcribed")
        self.failed = counter("failed_sentences", "Recordings that could not be transcribed")
        self.shed_events = counter("shed_events", "Events dropped while the gateway did not read")
        self.bad_envelopes = counter("bad_envelopes", "Envelopes dropped as malformed", "link")
        name, text, label = INTERNAL_CORRUPTION
        damaged = Counter(name, text, [label], registry=self.registry)
        self.damaged = damaged.labels(Hop.AUDIO)
        self.failed_recorders = counter("failed_recorders", "Recorders that could not be made")
        self.closing = Gauge(
            "stt_transcriber_closing_recorders",
            "Recorders that are being closed",
            registry=self.registry,
        )
        self.sessions = Gauge(
            "stt_transcriber_sessions", "Sessions that are open", registry=self.registry
        )
        self.queue_delay = histogram(
            "queue_delay_seconds", "Wait of requests for the engine", _SECONDS
        )
        self.inference = histogram("inference_seconds", "One call of the engine", _SECONDS)
        self.batch_size = histogram("batch_size", "Requests of one call", (1, 2, 4, 8, 16, 32))
        self.audio = counter("audio_seconds", "Seconds of audio transcribed", "kind")
        self.final_latency = self._speech("final", "From the end of speech to its text")
        self.first_partial_latency = self._speech(
            "first_partial", "From the start of a recording to its first partial text"
        )
        self.capacity = Gauge(
            "stt_transcriber_capacity_sessions",
            "Sessions that it takes at most",
            registry=self.registry,
        )
        self._waiting = Gauge(
            "stt_transcriber_waiting_requests",
            "Requests in the queue before the engine",
            ["kind"],
            registry=self.registry,
        )
        for kind in Kind:  # series that are there from the start can be alerted on
            for family in (self.queue_delay, self.inference, self.batch_size, self.audio):
                family.labels(kind.name.lower())
        for link in ("audio", "commands"):
            self.bad_envelopes.labels(link)
        for arrival in Arrival:
            self.frames.labels(arrival.value)

    def watch_queue(self, waiting: Callable[[], tuple[int, int]]) -> None:
        """Have the lengths of the queue, for finals and for partials, read at each scrape."""
        self._waiting.labels("final").set_function(lambda: waiting()[0])
        self._waiting.labels("realtime").set_function(lambda: waiting()[1])

    def _speech(self, name: str, text: str) -> Histogram:
        name = f"stt_transcriber_{name}_latency_seconds"
        return Histogram(name, text, registry=self.registry, buckets=SPEECH_S)

    def batch(self, report: BatchReport) -> None:
        """Count one call of an engine."""
        kind = report.kind.name.lower()
        self.batch_size.labels(kind).observe(report.size)
        self.inference.labels(kind).observe(report.inference_s)
        self.audio.labels(kind).inc(report.audio_s)
        for delay_s in report.queue_delays_s:
            self.queue_delay.labels(kind).observe(delay_s)
