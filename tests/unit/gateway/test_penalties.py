"""gateway.penalties: who guesses waits, and nobody else does."""

from __future__ import annotations

import pytest

from gateway.penalties import (
    FORGET_S,
    FREE_FAILURES,
    MAX_ADDRESSES,
    MAX_WAITING,
    MOST_S,
    FailedAttempts,
    network_of,
)


def test_the_first_failures_cost_nothing_and_the_next_ones_ever_more_up_to_a_bound() -> None:
    attempts = FailedAttempts()
    delays = [attempts.failed("192.0.2.1", 0).delay_s for _ in range(FREE_FAILURES + 8)]
    assert delays[:FREE_FAILURES] == [0] * FREE_FAILURES
    assert delays[FREE_FAILURES:] == [0.25, 0.5, 1, MOST_S, MOST_S, MOST_S, MOST_S, MOST_S]


def test_failures_are_counted_by_address() -> None:
    attempts = FailedAttempts()
    for _ in range(10):
        attempts.failed("192.0.2.1", 0)
    assert attempts.failed("192.0.2.2", 0).failures == 1


def test_an_address_that_is_quiet_begins_anew() -> None:
    attempts = FailedAttempts()
    for _ in range(10):
        attempts.failed("192.0.2.1", 0)
    assert attempts.failed("192.0.2.1", FORGET_S).failures == 11
    assert attempts.failed("192.0.2.1", 2 * FORGET_S + 1).failures == 1


def test_a_host_that_changes_its_ipv6_address_stays_the_same() -> None:
    attempts = FailedAttempts()
    attempts.failed("2001:db8::1", 0)
    assert attempts.failed("2001:db8::ffff:1", 0).failures == 2
    assert attempts.failed("2001:db8:0:1::1", 0).failures == 1


@pytest.mark.parametrize(
    "address, place",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", "local"),
    ],
)
def test_what_counts_as_one_address(address: str, place: str) -> None:
    assert network_of(address) == place


def test_memory_is_bounded_and_who_failed_longest_ago_is_forgotten() -> None:
    attempts = FailedAttempts()
    for number in range(MAX_ADDRESSES + 100):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", number / 1000)
    assert len(attempts) == MAX_ADDRESSES
    assert attempts.failed("10.0.0.0", 11).failures == 1
    assert attempts.failed("10.0.39.100", 11).failures == 2


def test_so_many_answers_are_held_back_and_no_more() -> None:
    attempts = FailedAttempts()
    assert all(attempts.hold_back() for _ in range(MAX_WAITING))
    assert not attempts.hold_back()
    attempts.answered()
    assert attempts.hold_back()
