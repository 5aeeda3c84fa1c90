"""Presentable text."""

from __future__ import annotations

import pytest

from transcriber.recorder.display_text import display_text


@pytest.mark.parametrize(
    "raw, shown",
    [
        ("", ""),
        ("   ", ""),
        ("  hello.", "Hello."),
        ("... and then", "And then"),
        ("...", ""),
        ("wait...'.", "Wait..."),
        ("wait...'", "Wait..."),
        ("he said 'no'.", "He said 'no'."),
        ("école", "École"),
        ("1 day", "1 day"),
    ],
)
def test_display_text(raw: str, shown: str) -> None:
    assert display_text(raw) == shown
