"""Makes recognised text presentable, as RealtimeSTT's ``stt-server`` does before it sends it."""

from __future__ import annotations


def display_text(text: str) -> str:
    """``text`` without a leading ellipsis and stray closing quote, starting in upper case."""
    text = text.lstrip().removeprefix("...").lstrip()
    if text.endswith("...'."):
        text = text[:-1]
    if text.endswith("...'"):
        text = text[:-1]
    return text[:1].upper() + text[1:]
