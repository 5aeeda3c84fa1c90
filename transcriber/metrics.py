"""The transcriber's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.stamps import INTERNAL_CORRUPTION, Hop
from transcriber.batch_metrics import BatchMetrics
from transcriber.engine_pool import Lost
from transcriber.resequencer import Arrival

SPEECH_S: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""Bounds of what a speaker waits for."""


class TranscriberMetrics:
    """Counters and gauges of one transcriber; names start with ``stt_transcriber_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stt_transcriber_{name}", text, labels, registry=self.registry)

        self.frames = counter("frames", "Frames that arrived, by what became of them", "arrival")
        self.unknown = counter("unknown_session_frames", "Frames of sessions that are not open")
        self.fenced = counter("fenced_sessions", "Sessions fenced for corruption")
        self.sentences = counter("sentences", "Recordings that were transcribed")
        self.failed = counter("failed_sentences", "Recordings that could not be transcribed")
        self.shed_events = counter("shed_events", "Events dropped while the gateway did not read")
        self.bad_envelopes = counter("bad_envelopes", "Envelopes dropped as malformed", "link")
        name, text, label = INTERNAL_CORRUPTION
        self.damaged = Counter(name, text, [label], registry=self.registry)
        for hop in (Hop.AUDIO, Hop.COMMANDS, Hop.TEXTS):
            self.damaged.labels(hop)
        self.removed_taps = counter("removed_taps", "Files of --tap-dir that were removed")
        self.failed_recorders = counter("failed_recorders", "Recorders that could not be made")
        self.closing = Gauge(
            "stt_transcriber_closing_recorders",
            "Recorders that are being closed",
            registry=self.registry,
        )
        self.sessions = Gauge(
            "stt_transcriber_sessions", "Sessions that are open", registry=self.registry
        )
        self.lag = Gauge(
            "stt_transcriber_lag_seconds",
            "Audio that the middle live session's recorder has still to hear: all are behind",
            registry=self.registry,
        )
        self.listeners = BatchMetrics("stt_transcriber", self.registry).listeners
        self.engines_lost = counter(
            "engines_lost", "Engine processes that fell silent or let a final wait", "how"
        )
        self.finals_again = counter("finals_asked_again", "Finals that a lost engine had")
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
        for kind in ("final", "realtime"):
            self._waiting.labels(kind)
        for how in ("silent", "hung"):
            self.engines_lost.labels(how)
        for link in ("audio", "commands", "engine"):
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

    def lost(self, lost: Lost) -> None:
        """Count engine processes that were lost."""
        self.engines_lost.labels("silent").inc(len(lost.gone))
        self.engines_lost.labels("hung").inc(len(lost.hung))
        self.finals_again.inc(len(lost.again))
