"""What a verifier counts, for Prometheus; touched once a turn of its loop, not once a frame."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from common.envelope import Code
from common.errors import MalformedReason
from common.stamps import INTERNAL_CORRUPTION, Hop
from verifier.audio_out import AudioOut
from verifier.verdict_box import VerdictBox

DROPPED: Final = ("closed", "stalled", "unreachable")
"""Why audio for a transcriber is dropped."""


class Metrics:
    """The counters of one verifier, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._published: dict[str, int] = {}
        self.frames = self._counter("stt_verifier_frames", "Frames checked.")
        self.bytes = self._counter("stt_verifier_bytes", "Bytes of client messages checked.")
        self.check_seconds = self._counter(
            "stt_verifier_check_seconds", "Seconds spent parsing and checking frames."
        )
        self._verdicts = self._counter("stt_verifier_verdicts", "Verdicts, by code.", "code")
        self.verdicts = {code: self._verdicts.labels(code.name.lower()) for code in Code}
        self.malformed = self._counter(
            "stt_verifier_malformed", "Frames that could not be read, by reason.", "reason"
        )
        self.bad_envelopes = self._counter(
            "stt_verifier_bad_envelopes", "Messages on the frames link dropped as malformed."
        )
        self.damaged = self._counter(*INTERNAL_CORRUPTION).labels(Hop.FRAMES)
        self.audio_dropped = self._counter(
            "stt_verifier_audio_dropped",
            "Audio messages dropped, by reason; the gateway sends their frames again.",
            "reason",
        )
        for reason in MalformedReason:  # there from the start, for alerts
            self.malformed.labels(reason)
        for why in DROPPED:
            self.audio_dropped.labels(why)
        self.verdicts_dropped = self._counter(
            "stt_verifier_verdicts_dropped", "Verdicts dropped: their gateway does not subscribe."
        )
        self.audio_endpoints = Gauge(
            "stt_verifier_audio_endpoints",
            "Transcribers that audio is being sent to.",
            registry=self.registry,
        )

    def publish(self, audio: AudioOut, box: VerdictBox) -> None:
        """Bring the counters of what was dropped up to date, once a heartbeat."""
        for reason, total in audio.dropped.items():
            self._raise_to(self.audio_dropped.labels(reason), total, reason)
        self._raise_to(self.verdicts_dropped, box.dropped, "verdicts")
        self.audio_endpoints.set(len(audio))

    def _raise_to(self, counter: Counter, total: int, name: str) -> None:
        counter.inc(total - self._published.get(name, 0))
        self._published[name] = total

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)
