"""gateway.quotas: sessions, hours of a day, speed."""

from __future__ import annotations

import pytest

from common.api_keys import ApiKey, Quota
from gateway.quotas import BURST_S, DAY_S, Quotas, Spent

FREE = ApiKey("free", bytes(32))


def key(name: str = "alice", **quota: float) -> ApiKey:
    return ApiKey(name, bytes(32), Quota(**quota))  # type: ignore[arg-type]


def test_a_key_without_quota_is_never_refused_or_paused() -> None:
    quotas = Quotas()
    for _ in range(100):
        assert quotas.begin(FREE, 0) == ""
    assert quotas.spend(FREE, 1e9, 0) == Spent()


def test_a_key_has_so_many_sessions_at_once() -> None:
    quotas, alice = Quotas(), key(sessions=2)
    assert quotas.begin(alice, 0) == ""
    assert quotas.begin(alice, 0) == ""
    assert quotas.begin(alice, 0) == "the key alice has its 2 sessions already"
    assert quotas.sessions("alice") == 2
    assert quotas.begin(key("bob", sessions=2), 0) == "", "another key has its own"
    quotas.end(alice)
    assert quotas.begin(alice, 0) == ""


def test_hours_of_a_day_are_used_up_and_there_again_the_next_day() -> None:
    quotas, alice = Quotas(), key(audio_s=3600.0)
    assert quotas.begin(alice, 10) == ""
    assert quotas.spend(alice, 3599, 20).refused == ""
    refused = quotas.spend(alice, 1, 30).refused
    assert refused == "the key alice has used its 1 hours of audio of today"
    assert quotas.begin(alice, 40) == refused, "and begins no session"
    assert quotas.begin(alice, DAY_S) == ""
    assert quotas.spend(alice, 1, DAY_S).refused == ""


def test_faster_than_its_speed_a_key_is_paused_for_just_as_long_as_it_is_ahead() -> None:
    quotas, alice = Quotas(), key(speed=2.0)
    assert quotas.spend(alice, BURST_S, 0).pause_s == 0
    assert quotas.spend(alice, 4, 0).pause_s == pytest.approx(2)
    assert quotas.spend(alice, 4, 2).pause_s == pytest.approx(2), "2 s later it may send 4 s more"
    assert quotas.spend(alice, 0, 4).pause_s == 0


def test_all_sessions_of_a_key_share_its_speed() -> None:
    quotas, alice = Quotas(), key(speed=1.0)
    quotas.begin(alice, 0)
    quotas.begin(alice, 0)
    quotas.spend(alice, BURST_S, 0)
    assert quotas.spend(alice, 1, 0).pause_s == pytest.approx(1)


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    quotas, alice = Quotas(), key(speed=1.0, audio_s=100.0)
    quotas.spend(alice, 1, DAY_S)
    assert quotas.spend(alice, 1, 0) == Spent()
