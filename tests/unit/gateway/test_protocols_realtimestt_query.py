"""Query strings of the data and control ports' URLs, well-formed and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import Commit
from gateway.protocols.realtimestt_query import Query, query_fields
from gateway.window import START

NOTHING = Query(events=False, session="", resume=False, observe="", sentences=-1)


def test_a_query_is_read() -> None:
    path = "/?events=integrity&session=ab&resume=1&sentences=3&unknown=x"
    assert Query.of(path) == Query(True, "ab", True, "", 3)
    assert Query.of("/?observe=cd") == NOTHING._replace(observe="cd")
    assert query_fields("/?session=a&session=b") == {"session": "b"}


@pytest.mark.parametrize(
    "path", ["/", "", "//[", "//[::1", "/?" + "a=1&" * 10_000, "/?sentences=-1"]
)
def test_a_malformed_query_asks_for_nothing(path: str) -> None:
    assert Query.of(path) == NOTHING


@given(st.text())
def test_no_path_is_an_error(path: str) -> None:
    Query.of(path)


@pytest.mark.parametrize(
    "fields, start",
    [
        ("skip_samples=100&run_samples=44&sample=5000", Commit(0, 100, 5000, 44)),
        ("skip_samples=100", Commit(0, 100, 100)),  # it cannot lie before the first frame
        ("skip_samples=-1&sample=1e9", START),
        (f"skip_samples={10**15}", START),
    ],
)
def test_where_a_session_begins_that_goes_on_with_another(fields: str, start: Commit) -> None:
    assert Query.of(f"/?events=integrity&{fields}").start == start


def test_who_promises_to_resend_says_with_which_number_it_begins() -> None:
    assert Query.of("/?resend=1&first=17").resend_from == 17
    assert Query.of("/?resend=1").resend_from == 0
    assert Query.of("/?first=17").resend_from == -1
    assert Query.of("/?resend=1&first=x").resend_from == 0
