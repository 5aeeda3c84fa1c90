"""Property tests measure no time: a busy machine fails none of them."""

from __future__ import annotations

from hypothesis import settings


def test_there_is_no_deadline() -> None:
    assert settings().deadline is None
