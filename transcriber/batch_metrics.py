"""What an engine's calls cost, for Prometheus: in the transcriber, or in an engine process."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.stamps import INTERNAL_CORRUPTION, Hop
from transcriber.schedule import Dropped, Kind
from transcriber.scheduler import BatchReport, Listeners

_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACTORS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""Of the real-time factor; above 1 an engine falls behind a single speaker."""


class BatchMetrics:
    """Histograms of the engine's calls; their names start with ``prefix``."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"{prefix}_{name}", text, ["kind"], registry=registry, buckets=buckets)

        self._queue_delay = histogram(
            "queue_delay_seconds", "Wait of requests for the engine", _SECONDS
        )
        self._inference = histogram("inference_seconds", "One call of the engine", _SECONDS)
        self._size = histogram("batch_size", "Requests of one call", (1, 2, 4, 8, 16, 32))
        self._factor = histogram(
            "real_time_factor", "One call's seconds for each second of its audio", _FACTORS
        )
        self._audio = Counter(
            f"{prefix}_audio_seconds", "Seconds of audio transcribed", ["kind"], registry=registry
        )
        self._dropped = Counter(
            f"{prefix}_partials_dropped",
            "Partials that did not run, by why",
            ["why"],
            registry=registry,
        )
        for why in Dropped:
            self._dropped.labels(why)
        for kind in Kind:  # series that are there from the start can be alerted on
            for family in (
                *(self._queue_delay, self._inference, self._size, self._factor, self._audio),
            ):
                family.labels(kind.name.lower())

    @property
    def listeners(self) -> Listeners:
        """What a scheduler is to call."""
        return Listeners(self.batch, self.dropped)

    def dropped(self, why: Dropped) -> None:
        """Count a partial that did not run."""
        self._dropped.labels(why).inc()

    def batch(self, report: BatchReport) -> None:
        """Count one call of an engine."""
        kind = report.kind.name.lower()
        self._size.labels(kind).observe(report.size)
        self._inference.labels(kind).observe(report.inference_s)
        self._audio.labels(kind).inc(report.audio_s)
        if report.audio_s:
            self._factor.labels(kind).observe(report.inference_s / report.audio_s)
        for delay_s in report.queue_delays_s:
            self._queue_delay.labels(kind).observe(delay_s)


class EngineMetrics:
    """Counters and gauges of one engine process; names start with ``stt_engine_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.listeners = BatchMetrics("stt_engine", self.registry).listeners
        self.requests = Counter(
            "stt_engine_requests", "Requests of transcribers", ["kind"], registry=self.registry
        )
        for kind in Kind:
            self.requests.labels(kind.name.lower())
        self.bad_envelopes = Counter(
            "stt_engine_bad_envelopes",
            "Envelopes dropped as malformed",
            ["link"],
            registry=self.registry,
        )
        self.bad_envelopes.labels("engine")
        name, text, label = INTERNAL_CORRUPTION
        self.damaged = Counter(name, text, [label], registry=self.registry).labels(Hop.REQUESTS)
        self.wait = Gauge(
            "stt_engine_final_wait_seconds",
            "For how long a final that comes now would wait",
            registry=self.registry,
        )
