"""What a connection and an address may use up."""

from __future__ import annotations

from common.limit_settings import LimitSettings
from gateway.budgets import (
    CONNECT_BURST_S,
    CONTROL_BURST_S,
    AddressBudgets,
    AnswerBudget,
    FrameBudget,
    Met,
    TokenBucket,
)

LIMITS = LimitSettings(
    control_frames_per_s=3.0, max_fragments=5, commands_per_s=50.0, answered_bytes_per_s=1_000.0
)


def of_address(connections: int, opened_per_s: float = 1_000.0) -> LimitSettings:
    return LimitSettings(address_connections=connections, address_opens_per_s=opened_per_s)


def bound(met: Met | None) -> str:
    return met.bound if met else ""


# -- a bucket --------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(2.0, 3.0, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.6) for _ in range(2)] == [True, False]


def test_a_bucket_that_rests_is_full_and_no_fuller() -> None:
    bucket = TokenBucket(2.0, 3.0, 0.0)
    bucket.take(0.0)
    assert not bucket.is_full(0.1)
    assert bucket.is_full(100.0)
    assert sum(bucket.take(100.0) for _ in range(10)) == 3


# -- frames ----------------------------------------------------------------------------------------


def test_pings_are_answered_at_the_rate_of_any_library() -> None:
    budget = FrameBudget(LIMITS, 0.0)
    for second in range(1_000):
        for _ in range(3):
            assert budget.control_frame(float(second)) is None


def test_a_flood_of_pings_is_met_by_a_bound() -> None:
    budget = FrameBudget(LIMITS, 0.0)
    for _ in range(int(3 * CONTROL_BURST_S)):
        assert budget.control_frame(0.0) is None
    assert bound(budget.control_frame(0.0)) == "control_frames"


def test_a_message_has_so_many_fragments_and_the_next_as_many() -> None:
    budget = FrameBudget(LIMITS, 0.0)
    for _ in range(2):
        for _ in range(LIMITS.max_fragments):
            assert budget.fragment(is_last=False) is None
        assert budget.fragment(is_last=True) is None
    for _ in range(LIMITS.max_fragments):
        budget.fragment(is_last=False)
    assert bound(budget.fragment(is_last=False)) == "fragments"


# -- answers -------------------------------------------------------------------------------------


def test_a_second_of_answers_is_given_at_once_and_the_next_waits() -> None:
    budget = AnswerBudget(LIMITS, 0.0)
    waits = [budget.answered(0, 0.0) for _ in range(50 + 5)]
    assert waits[0] == 0.0
    assert 0.09 < waits[-1] < 0.11
    assert budget.answered(0, 10.0) == 0.0


def test_large_answers_cost_by_their_bytes() -> None:
    budget = AnswerBudget(LIMITS, 0.0)
    assert budget.answered(900, 0.0) == 0.0
    assert budget.answered(900, 0.0) > 0.8


# -- addresses -------------------------------------------------------------------------------------


def test_one_address_cannot_take_all() -> None:
    budgets = AddressBudgets(10, of_address(0))
    assert [bound(budgets.enter("192.0.2.1", 0.0)) for _ in range(6)] == [
        *[""] * 5,
        "address_connections",
    ]
    assert budgets.enter("192.0.2.2", 0.0) is None
    budgets.leave("192.0.2.1")
    assert budgets.enter("192.0.2.1", 0.0) is None


def test_all_together_have_a_bound() -> None:
    budgets = AddressBudgets(2, of_address(2))
    assert budgets.enter("192.0.2.1", 0.0) is None
    assert budgets.enter("192.0.2.2", 0.0) is None
    assert bound(budgets.enter("192.0.2.3", 0.0)) == "connections"
    budgets.leave("192.0.2.1")
    assert budgets.enter("192.0.2.3", 0.0) is None
    assert budgets.connections == 2


def test_connecting_again_and_again_has_a_rate() -> None:
    budgets = AddressBudgets(100, of_address(100, 1.0))
    for _ in range(int(CONNECT_BURST_S)):
        assert budgets.enter("192.0.2.1", 0.0) is None
        budgets.leave("192.0.2.1")
    assert bound(budgets.enter("192.0.2.1", 0.0)) == "address_rate"
    assert budgets.enter("192.0.2.2", 0.0) is None
    assert budgets.enter("192.0.2.1", 1.1) is None


def test_handshakes_under_way_have_a_bound_of_their_own() -> None:
    budgets = AddressBudgets(100, LimitSettings(address_connections=50, address_handshakes=2))
    for expected in ("", "", "address_handshakes"):
        assert bound(budgets.enter("192.0.2.1", 0.0, shakes_hands=True)) == expected
    assert budgets.enter("192.0.2.2", 0.0, shakes_hands=True) is None
    assert budgets.enter("192.0.2.1", 0.0) is None, "a port that has another server"
    budgets.shook_hands("192.0.2.1")
    assert budgets.enter("192.0.2.1", 0.0, shakes_hands=True) is None
    assert budgets.connections == 5


def test_of_its_connections_an_address_may_have_half_in_handshakes() -> None:
    budgets = AddressBudgets(100, of_address(8))
    found = [bound(budgets.enter("192.0.2.1", 0.0, shakes_hands=True)) for _ in range(5)]
    assert found == [*[""] * 4, "address_handshakes"]


def test_the_addresses_of_one_network_are_one() -> None:
    budgets = AddressBudgets(100, of_address(2))
    assert [bound(budgets.enter(f"2001:db8::{n}", 0.0)) for n in range(3)] == [
        *[""] * 2,
        "address_connections",
    ]


def test_an_address_that_is_gone_is_forgotten() -> None:
    budgets = AddressBudgets(100, of_address(2, 1.0))
    budgets.enter("192.0.2.1", 0.0)
    budgets.forget(100.0)
    assert len(budgets) == 1
    budgets.leave("192.0.2.1")
    budgets.forget(100.0)
    assert len(budgets) == 0


def test_who_comes_over_a_proxys_connection_has_the_bounds_of_an_address() -> None:
    budgets = AddressBudgets(5, of_address(2, 1.0), lambda address: address == "192.0.2.1")
    assert budgets.enter("192.0.2.1", 0.0) is None
    found = [bound(budgets.enter_behind("198.51.100.1", 0.0)) for _ in range(3)]
    assert found == ["", "", "address_connections"]
    assert budgets.enter_behind("198.51.100.2", 0.0) is None
    assert budgets.connections == 1, "the proxy's own"
    budgets.leave_behind("198.51.100.1")
    assert budgets.enter_behind("198.51.100.1", 0.0) is None
    budgets.leave_behind("198.51.100.1")
    assert budgets.enter_behind("198.51.100.1", 0.0) is None
    budgets.leave_behind("198.51.100.1")
    assert bound(budgets.enter_behind("198.51.100.1", 0.0)) == "address_rate"


def test_a_proxy_that_is_trusted_stands_for_many() -> None:
    budgets = AddressBudgets(5, of_address(1, 1.0), lambda address: address == "192.0.2.1")
    assert [bound(budgets.enter("192.0.2.1", 0.0)) for _ in range(6)] == [*[""] * 5, "connections"]
