"""Corrupt frames by address and by API key, for an alert: bounded, however many come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_NAMES: Final = 256
"""Addresses, and keys, with a series of their own; those of any further one count as ``other``."""
OTHER: Final = "other"


class Offenders(Collector):
    """Only who ever sent a corrupt frame is in here."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self._addresses = _Names(max_names)
        self._keys = _Names(max_names)

    def count(self, address: str, key_name: str = "") -> None:
        """A corrupt frame came from an address, with the API key of that name ("": without one)."""
        self._addresses.count(address)
        if key_name:
            self._keys.count(key_name)

    def collect(self) -> Iterator[Metric]:
        """The numbers as Prometheus metrics."""
        yield self._addresses.family(
            "stt_gateway_corrupt_frames", "Corrupt frames by client address", "address"
        )
        yield self._keys.family(
            "stt_gateway_corrupt_frames_by_key", "Corrupt frames by API key", "key"
        )


class _Names:
    def __init__(self, most: int) -> None:
        self._most = most
        self._frames: Counter[str] = Counter({OTHER: 0})

    def count(self, name: str) -> None:
        known = name in self._frames or len(self._frames) <= self._most
        self._frames[name if known else OTHER] += 1

    def family(self, metric: str, text: str, label: str) -> Metric:
        family = CounterMetricFamily(metric, text, labels=[label])
        for name, frames in self._frames.items():
            family.add_metric([name], frames)
        return family
