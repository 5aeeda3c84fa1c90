"""Corrupt frames by the address that they came from, for an alert: bounded, however many come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_ADDRESSES: Final = 256
"""Addresses with a series of their own; corrupt frames of any further one count as ``other``."""
OTHER: Final = "other"


class Offenders(Collector):
    """Only who ever sent a corrupt frame is in here."""

    def __init__(self, max_addresses: int = MAX_ADDRESSES) -> None:
        self._max = max_addresses
        self._frames: Counter[str] = Counter({OTHER: 0})

    def count(self, address: str) -> None:
        """A corrupt frame came from an address."""
        known = address in self._frames or len(self._frames) <= self._max
        self._frames[address if known else OTHER] += 1

    def collect(self) -> Iterator[Metric]:
        """The numbers as one Prometheus metric."""
        family = CounterMetricFamily(
            "stt_gateway_corrupt_frames",
            "Corrupt frames by client address",
            labels=["address"],
        )
        for address, frames in self._frames.items():
            family.add_metric([address], frames)
        yield family
