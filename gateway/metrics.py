"""The gateway's Prometheus metrics."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from common.envelope import Code
from common.errors import MalformedReason
from common.stamps import INTERNAL_CORRUPTION, Hop
from gateway.latency import LatencyHistogram
from gateway.offenders import Offenders

BOUNDS: Final = (
    "address_connections",
    "address_handshakes",
    "address_rate",
    "answers",
    "connections",
    "control_frames",
    "displaced",
    "fragments",
    "handshake_bytes",
    "memory",
    "observers",
    "port_connections",
    "small_chunks",
    "speed",
    "uploads",
)
"""What a client may meet; each has an option in ``limit_settings.py``, or follows from one."""
REFUSALS: Final = (
    *("expired_key", "host", "no_key", "no_keys", "origin", "several_keys"),
    *("token_again", "unchecked", "unverified", "wrong_key"),
)
"""Why a request is refused at the door."""


class Relayed(enum.StrEnum):
    """What a gateway does with a connection that comes by another one."""

    PASSED_ON = "passed_on"
    TAKEN_IN = "taken_in"


BUSY: Final = ("final_wait", "lag", "quota", "sessions", "stopping", "waiting")
"""Why a client is told to try later."""


class Tally(Collector):
    """What is counted once a frame, as plain numbers that are read when metrics are scraped.

    A labelled Prometheus counter would cost more than all else that is done with a frame.

    Attributes:
        verdicts: frames by :class:`common.envelope.Code`.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.verdicts = [0] * len(Code)
        self.latency = LatencyHistogram()

    def judged(self, code: int, bucket: int, latency_s: float) -> None:
        """Count one verdict, with the bucket of its latency."""
        self.verdicts[code] += 1
        self.latency.count(bucket, latency_s)

    def collect(self) -> Iterator[Metric]:
        """The numbers as Prometheus metrics."""
        yield CounterMetricFamily(
            "stt_gateway_frames", "Frames accepted from clients", value=self.frames
        )
        yield CounterMetricFamily(
            "stt_gateway_received_bytes", "Bytes of frames accepted", value=self.bytes
        )
        verdicts = CounterMetricFamily(
            "stt_gateway_verdicts", "Frames by verdict", labels=["verdict"]
        )
        for code in Code:
            verdicts.add_metric([code.name.lower()], self.verdicts[code])
        yield verdicts
        buckets, sum_s = self.latency.buckets()
        yield HistogramMetricFamily(
            "stt_gateway_verdict_latency_seconds",
            "From a frame's arrival to its verdict",
            buckets=buckets,
            sum_value=sum_s,
        )


class GatewayMetrics:
    """Counters and gauges of one gateway; names start with ``stt_gateway_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tally = Tally()
        self.registry.register(self.tally)
        self.offenders = Offenders()
        self.registry.register(self.offenders)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stt_gateway_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"stt_gateway_{name}", text, registry=self.registry)

        self.refused = counter("frames_refused", "Messages that were not accepted", "reason")
        self.retransmissions = counter("retransmissions", "Frames sent again to the verifiers")
        self.window_stalls = counter("window_stalls", "Times a client's socket was paused")
        self.window_stall_seconds = counter(
            "window_stall_seconds", "Seconds that clients' sockets were paused, of all together"
        )
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
        self.resends = counter("resend_requests", "Requests to clients to send a frame again")
        self.healed = counter("healed_frames", "Frames that then arrived as they were sent")
        self.unhealed = counter("unhealed_frames", "Frames given up after all requests")
        self.corrupt_sessions = counter(
            "corrupt_sessions", "Sessions that ended and had corrupt frames"
        )
        self.remembered_failures = gauge(
            "remembered_failures", "API keys or addresses whose failures outlive connections"
        )
        self.rejections = counter("rejected_sessions", "Sessions rejected for corruption")
        self.busy = counter("busy_rejections", "Clients told to try later", "why")
        self.slow_clients = counter("slow_clients", "Clients closed for not reading results")
        self.turned_away = counter(
            "refused_requests", "Requests refused for their host, origin or key", "why"
        )
        self.revoked = counter("revoked_sessions", "Sessions ended with their API key")
        self.bad_envelopes = counter("bad_envelopes", "Envelopes dropped as malformed", "link")
        name, text, label = INTERNAL_CORRUPTION
        self.damaged = Counter(name, text, [label], registry=self.registry)
        self.limits_met = counter(
            "limits_met", "Times that a client met one of its bounds", "bound"
        )
        self.peer_look_ups = counter(
            "peer_look_ups", "Looks at this host's sockets for who opened a connection"
        )
        self.recorders_given_back = counter(
            "recorders_given_back", "Recorders that silent sessions gave to those that waited"
        )
        self.relayed = counter(
            "relayed_connections",
            "Connections passed on to another gateway of this host, and taken in from one",
            *("port", "direction"),
        )
        self.relayed_bytes = counter(
            "relayed_bytes", "Bytes of messages passed on, from clients and to them", "direction"
        )
        self.sessions = gauge("sessions", "Sessions that are open")
        self.waiting_sessions = gauge("waiting_sessions", "Sessions without a transcriber")
        self.waiting_limit = gauge("waiting_limit", "Bound on stt_gateway_waiting_sessions")
        self.free_places = gauge(
            "free_places", "Sessions that live transcribers still have room for"
        )
        self.retained = gauge("retained_bytes", "Uncommitted audio kept for replay")
        self.retained_limit = gauge("retained_limit_bytes", "Bound on stt_gateway_retained_bytes")
        self.transcribers = gauge("transcribers", "Transcribers that are alive")
        self.verifiers = gauge("verifiers", "Verifiers that are alive")
        for link in ("commands", "results", "verdicts"):  # there from the start, for alerts
            self.bad_envelopes.labels(link)
        for hop in (Hop.GATEWAY, Hop.VERDICTS, Hop.RESULTS, Hop.REPLIES):
            self.damaged.labels(hop)
        for kind in REFUSALS:
            self.turned_away.labels(kind)
        for way in Relayed:
            for port in ("control", "data"):
                self.relayed.labels(port, way)
        for direction in ("from_client", "to_client"):
            self.relayed_bytes.labels(direction)
        for bound in BOUNDS:
            self.limits_met.labels(bound)
        for why in BUSY:
            self.busy.labels(why)
        for reason in (
            "after_end",
            "demands",
            "repeated",
            "not_an_event",
            "observer",
            "query",
            "text",
            "uploads",
            MalformedReason.TOO_LARGE,
        ):
            self.refused.labels(reason)

    def quarantine(self, what: str, count: Callable[[], float]) -> None:
        """Serve how many corrupt frames were ``kept`` on disk, or ``dropped``."""
        gauge = Gauge(
            f"stt_gateway_quarantine_{what}_frames",
            f"Corrupt frames that the quarantine has {what}, since the start",
            registry=self.registry,
        )
        gauge.set_function(count)
