"""Rates and latencies of a stage, out of what its ``/metrics`` said at two moments. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

Labels = frozenset[tuple[str, str]]
NO_LABELS: Final = Labels()
Samples = Mapping[tuple[str, Labels], float]
"""Values by a sample's name and labels."""

FRAMES: Final = (
    "stt_gateway_frames_total",
    "stt_verifier_frames_total",
    "stt_transcriber_frames_total",
)
VERDICTS: Final = (
    ("stt_gateway_verdicts_total", "verdict"),
    ("stt_verifier_verdicts_total", "code"),
)
LATENCIES: Final = (
    "stt_gateway_verdict_latency_seconds_bucket",
    "stt_transcriber_final_latency_seconds_bucket",
)
QUANTILE: Final = 0.95


class Figures(NamedTuple):
    """What one stage did since it was last asked; None where that does not apply or is not known.

    Attributes:
        frames_per_s: that passed through it.
        ok_per_s, unverified_per_s, corrupt_per_s: its verdicts.
        latency_p95_s: a gateway's verdicts, a transcriber's finals after the end of speech.
        cpu: share of one core.
        memory_bytes: resident.
    """

    frames_per_s: float | None = None
    ok_per_s: float | None = None
    unverified_per_s: float | None = None
    corrupt_per_s: float | None = None
    latency_p95_s: float | None = None
    cpu: float | None = None
    memory_bytes: float | None = None


class Rates:
    """Follows stages by name."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, Samples]] = {}

    def observe(self, name: str, samples: Samples, now_s: float) -> Figures:
        """What a stage says now; its figures since the last time, rates from the second time on."""
        memory = _total(samples, "process_resident_memory_bytes")
        then_s, before = self._before.get(name, (now_s, {}))
        self._before[name] = (now_s, samples)
        passed_s = now_s - then_s
        started = ("process_start_time_seconds", NO_LABELS)
        if passed_s <= 0 or before.get(started) != samples.get(started):  # it is another process
            return Figures(memory_bytes=memory)
        gained = {key: value - before.get(key, 0.0) for key, value in samples.items()}

        def rate(*names: str, labels: Labels = NO_LABELS) -> float | None:
            totals = (_total(gained, each, labels) for each in names)
            return next((total / passed_s for total in totals if total is not None), None)

        def verdicts(verdict: str) -> float | None:
            rates = (rate(each, labels=Labels({(label, verdict)})) for each, label in VERDICTS)
            return next((each for each in rates if each is not None), None)

        return Figures(
            frames_per_s=rate(*FRAMES),
            ok_per_s=verdicts("ok"),
            unverified_per_s=verdicts("unverified"),
            corrupt_per_s=verdicts("corrupt"),
            latency_p95_s=next(
                (found for each in LATENCIES if (found := _quantile(gained, each)) is not None),
                None,
            ),
            cpu=rate("process_cpu_seconds_total"),
            memory_bytes=memory,
        )

    def keep(self, names: Iterable[str]) -> None:
        """Forget all other stages."""
        wanted = set(names)
        self._before = {name: seen for name, seen in self._before.items() if name in wanted}


def _total(samples: Samples, name: str, labels: Labels = NO_LABELS) -> float | None:
    found = [value for (each, has), value in samples.items() if each == name and labels <= has]
    return sum(found) if found else None


def _quantile(gained: Samples, name: str) -> float | None:
    """The bound of the bucket that holds the quantile; None when nothing was counted."""
    buckets = sorted(
        (float(dict(labels)["le"]), value)
        for (each, labels), value in gained.items()
        if each == name
    )
    if not buckets or not buckets[-1][1]:
        return None
    wanted = QUANTILE * buckets[-1][1]
    bound = next(bound for bound, count in buckets if count >= wanted)
    if math.isinf(bound):
        bound = buckets[-2][0]
    return bound
