"""What is kept for a replay: the sum of all sessions, and who gives up what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.retention import Account, Excess, RetentionLedger


def ledger_of(
    sizes: dict[str, int], *, session: int = 1_000, total: int = 10_000
) -> tuple[RetentionLedger[str], dict[str, Account]]:
    ledger: RetentionLedger[str] = RetentionLedger(session, total)
    accounts = {name: ledger.open(name) for name in sizes}
    for name, size in sizes.items():
        accounts[name].keep(size)
    return ledger, accounts


def test_an_account_of_nobodys_book_is_a_number() -> None:
    account = Account()
    account.keep(7)
    account.let_go(3)
    assert account.bytes == 4


def test_the_sum_follows_every_account() -> None:
    ledger, accounts = ledger_of({"a": 10, "b": 20})
    accounts["a"].let_go(4)
    assert ledger.bytes == 26
    ledger.close("b")
    assert ledger.bytes == 6
    ledger.close("b")
    assert ledger.bytes == 6


def test_who_is_within_all_bounds_gives_up_nothing() -> None:
    ledger, accounts = ledger_of({"a": 1_000, "b": 10})
    assert not ledger.is_over(accounts["a"])
    assert ledger.excesses("a") == []


def test_who_is_over_its_own_bound_gives_up_its_own() -> None:
    ledger, accounts = ledger_of({"a": 1_001, "b": 10})
    assert ledger.is_over(accounts["a"])
    assert ledger.excesses("a") == [Excess("a", 1_000, "session")]


def test_the_largest_gives_up_not_the_one_that_sends_next() -> None:
    ledger, accounts = ledger_of({"flood": 900, "good": 101, "other": 50}, total=1_050)
    assert ledger.is_over(accounts["good"])
    assert [excess.session for excess in ledger.excesses("good")] == ["flood"]


def test_those_over_their_share_are_levelled() -> None:
    ledger, _ = ledger_of({"a": 600, "b": 500, "c": 100}, total=1_100)
    excesses = ledger.excesses("c")
    assert [excess.session for excess in excesses] == ["a", "b"]
    assert len({excess.target_bytes for excess in excesses}) == 1
    assert {excess.scope for excess in excesses} == {"total"}


def test_what_a_session_gives_up_for_its_own_bound_counts_for_the_total() -> None:
    ledger, _ = ledger_of({"a": 1_500, "b": 600}, total=1_700)
    assert ledger.excesses("a") == [Excess("a", 1_000, "session")]


def test_what_connections_hold_comes_out_of_the_same_bound_up_to_half_of_it() -> None:
    ledger, accounts = ledger_of({"a": 600, "b": 100}, total=1_000)
    assert not ledger.is_over(accounts["a"])
    ledger.reserve(400)
    assert ledger.is_over(accounts["a"])
    assert [excess.session for excess in ledger.excesses("b")] == ["a"]
    ledger.reserve(5_000)
    assert ledger.excesses("b")[0].target_bytes > 300
    ledger.reserve(0)
    assert not ledger.is_over(accounts["a"])


def test_what_waits_on_a_connection_is_of_its_sessions_share() -> None:
    ledger, accounts = ledger_of({"flood": 300, "good": 280}, total=1_000)
    accounts["flood"].waiting_bytes = 450
    ledger.reserve(450)
    assert [excess.session for excess in ledger.excesses("good")] == ["flood"]
    accounts["flood"].waiting_bytes = 0  # it is somebody's who has no session: all make room
    assert [excess.session for excess in ledger.excesses("good")] == ["flood", "good"]


SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 2_000), min_size=1)


@given(SIZES, st.integers(100, 5_000), st.integers(0, 5_000), st.lists(st.integers(0, 900)))
def test_when_all_give_up_what_they_should_the_bounds_hold(
    sizes: dict[str, int], total: int, of_others: int, waiting: list[int]
) -> None:
    ledger, accounts = ledger_of(sizes, session=2_000, total=total)
    held = of_others
    for account, waiting_bytes in zip(accounts.values(), waiting, strict=False):
        if held + waiting_bytes <= total // 2:  # more is cut off
            account.waiting_bytes = waiting_bytes
            held += waiting_bytes
    ledger.reserve(held)
    grown = next(iter(sizes))
    before = {name: account.bytes for name, account in accounts.items()}
    for excess in ledger.excesses(grown):
        account = accounts[excess.session]
        assert account.bytes > excess.target_bytes
        account.let_go(account.bytes - excess.target_bytes)
    assert ledger.bytes <= total - min(held, total // 2)
    smallest = min(before, key=lambda name: before[name] + accounts[name].waiting_bytes)
    least = before[smallest] + accounts[smallest].waiting_bytes
    if len(before) > 1 and least < (total - min(of_others, total // 2)) // (2 * len(before)):
        assert accounts[smallest].bytes == before[smallest], "the small keep what they have"
