"""Corrupt frames are counted by address and key, in bounded memory."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from gateway.offenders import Offenders


def frames(offenders: Offenders, address: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(offenders)
    return registry.get_sample_value("stt_gateway_corrupt_frames_total", {"address": address})


def test_frames_are_counted_by_address() -> None:
    offenders = Offenders()
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        offenders.count(address)
    assert frames(offenders, "192.0.2.1") == 2
    assert frames(offenders, "192.0.2.2") == 1


def test_addresses_beyond_the_bound_share_one_series() -> None:
    offenders = Offenders(max_names=2)
    for number in range(1, 6):
        offenders.count(f"192.0.2.{number}")
    offenders.count("192.0.2.1")
    assert frames(offenders, "192.0.2.1") == 2
    assert frames(offenders, "192.0.2.3") is None
    assert frames(offenders, "other") == 3


def test_the_series_is_there_before_anything_happened() -> None:
    assert frames(Offenders(), "other") == 0


def test_frames_are_counted_by_key_where_there_is_one() -> None:
    offenders = Offenders(max_names=2)
    for key in ("", "ward-3", "desk", "ward-3", "another"):
        offenders.count("192.0.2.1", key)
    registry = CollectorRegistry()
    registry.register(offenders)

    def of(key: str) -> float | None:
        return registry.get_sample_value("stt_gateway_corrupt_frames_by_key_total", {"key": key})

    assert (of("ward-3"), of("desk"), of("other"), of("")) == (2, 1, 1, None)
