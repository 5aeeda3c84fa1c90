"""Failures that outlive a connection: whose they are, how long they last, how many are kept."""

from __future__ import annotations

import pytest

from common.errors import SettingsError
from common.limit_settings import CountBy
from common.settings import GatewaySettings
from gateway.failure_book import FailureBook, Page


def page(book: FailureBook, key: str = "", address: str = "192.0.2.1") -> Page:
    found = book.page(key, address)
    assert found is not None
    return found


def test_by_connection_nothing_is_remembered() -> None:
    assert FailureBook().page("ward", "192.0.2.1") is None
    assert FailureBook.of(GatewaySettings()).page("ward", "192.0.2.1") is None


def test_a_key_counts_wherever_it_is_used_and_no_other_does() -> None:
    book = FailureBook(CountBy.KEY, 60.0)
    assert page(book, "ward").add(0.0) == 1
    assert page(book, "ward", "198.51.100.9").add(1.0) == 2
    assert page(book, "desk").count(1.0) == 0
    assert page(book, "ward").count(1.0) == 2
    assert len(book) == 1


def test_an_address_counts_whatever_key_is_used_there() -> None:
    book = FailureBook(CountBy.ADDRESS, 60.0)
    page(book, "ward").add(0.0)
    assert page(book, "desk").count(0.0) == 1
    assert page(book, "ward", "192.0.2.2").count(0.0) == 0


def test_the_addresses_of_one_ipv6_host_count_as_one() -> None:
    book = FailureBook(CountBy.ADDRESS, 60.0)
    page(book, address="2001:db8::1").add(0.0)
    assert page(book, address="2001:db8::2").count(0.0) == 1
    assert page(book, address="2001:db8:0:1::1").count(0.0) == 0


def test_behind_a_proxy_that_names_nobody_connections_count_for_themselves() -> None:
    book = FailureBook(CountBy.ADDRESS, 60.0, lambda address: address == "192.0.2.1")
    assert book.page("", "192.0.2.1") is None
    assert book.page("", "192.0.2.2") is not None


def test_a_count_is_over_when_no_failure_came_for_long() -> None:
    book = FailureBook(CountBy.KEY, 60.0)
    one = page(book, "ward")
    assert [one.add(now_s) for now_s in (0.0, 50.0, 110.0)] == [1, 2, 3]
    assert one.count(170.0) == 3
    assert one.count(170.1) == 0
    assert one.add(171.0) == 1


def test_what_is_over_is_let_go_of_and_what_is_not_stays() -> None:
    book = FailureBook(CountBy.KEY, 60.0)
    for number, now_s in enumerate((0.0, 10.0, 20.0)):
        page(book, f"key {number}").add(now_s)
    page(book, "key 0").add(30.0)
    book.forget(75.0)
    assert len(book) == 2
    assert [page(book, f"key {number}").count(75.0) for number in range(3)] == [2, 0, 1]


def test_the_one_that_failed_longest_ago_makes_room() -> None:
    book = FailureBook(CountBy.ADDRESS, 60.0, most=100)
    for number in range(1_000):
        page(book, address=f"10.0.{number // 250}.{number % 250}").add(float(number) / 100)
        page(book, address="192.0.2.1").add(float(number) / 100)
    assert len(book) == 100
    assert page(book).count(10.0) == 1_000
    assert page(book, address="10.0.0.0").count(10.0) == 0


def test_counting_by_key_needs_keys() -> None:
    with pytest.raises(SettingsError, match=r"--count-by key needs keys.*--api-keys"):
        FailureBook.of(GatewaySettings(count_by="key"))
    FailureBook.of(GatewaySettings(count_by="key", api_keys="keys"))


def test_without_a_key_a_connection_counts_for_itself() -> None:
    assert FailureBook(CountBy.KEY, 60.0).page("", "192.0.2.1") is None
