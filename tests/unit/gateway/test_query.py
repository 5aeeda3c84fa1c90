"""Query strings of the data and control ports' URLs, well-formed and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.query import Query, query_fields

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
