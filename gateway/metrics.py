"""The gateway's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class GatewayMetrics:
    """Counters and gauges of one gateway; names start with ``stt_gateway_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stt_gateway_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"stt_gateway_{name}", text, registry=self.registry)

        self.frames = counter("frames", "Frames accepted from clients")
        self.bytes = counter("received_bytes", "Bytes of frames accepted from clients")
        self.refused = counter("frames_refused", "Messages that were not accepted", "reason")
        self.verdicts = counter("verdicts", "Frames by verdict", "verdict")
        self.retransmissions = counter("retransmissions", "Frames sent again to the verifiers")
        self.window_stalls = counter("window_stalls", "Times a client's socket was paused")
        self.gaps = counter("gaps", "Gaps that transcribers reported in a session's frames")
        self.replays = counter("replays", "Sessions re-opened on a transcriber")
        self.replayed_frames = counter("replayed_frames", "Frames sent again after a re-open")
        self.given_up = counter(
            "retention_given_up_frames", "Uncommitted frames no longer kept for replay"
        )
        self.sentences = counter("sentences", "Final results delivered")
        self.duplicate_sentences = counter(
            "duplicate_sentences", "Final results repeated by a replay and dropped"
        )
        self.rejections = counter("rejected_sessions", "Sessions rejected for corruption")
        self.busy = counter("busy_rejections", "Clients told to try later")
        self.slow_clients = counter("slow_clients", "Clients closed for not reading results")
        self.bad_envelopes = counter("bad_envelopes", "Envelopes dropped as malformed", "link")
        self.sessions = gauge("sessions", "Sessions that are open")
        self.retained = gauge("retained_bytes", "Uncommitted audio kept for replay")
        self.transcribers = gauge("transcribers", "Transcribers that are alive")
        self.verifiers = gauge("verifiers", "Verifiers that are alive")
        self.verdict_latency = Histogram(
            "stt_gateway_verdict_latency_seconds",
            "From a frame's arrival to its verdict",
            registry=self.registry,
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
