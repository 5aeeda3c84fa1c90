"""A hex view of a message around a fault, with what was sent beside what arrived."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

WIDTH: Final = 16
LINES_BEFORE: Final = 2
MOST_LINES: Final = 12


def hex_view(arrived: bytes, sent: bytes, at: int, length: int = 0) -> Iterator[str]:
    """Lines around byte ``at``: offset, what arrived, and below it what was sent if that differs.

    Args:
        sent: empty if it is not known.
        at: negative: the beginning is shown.
        length: of what is damaged: so much is shown, up to :data:`MOST_LINES` lines.
    """
    first = max(0, max(at, 0) // WIDTH - LINES_BEFORE)
    last = min((max(at, 0) + max(length, 1)) // WIDTH + LINES_BEFORE, first + MOST_LINES - 1)
    end = -(-max(len(arrived), len(sent)) // WIDTH)
    for line in range(first, min(last + 1, end)):
        start = line * WIDTH
        here = arrived[start : start + WIDTH]
        yield f"{start:8d}  {_bytes(here)}  {_text(here)}"
        there = sent[start : start + WIDTH]
        if sent and there != here:
            marks = "".join(
                "^^ " if here[i : i + 1] != there[i : i + 1] else "   " for i in range(WIDTH)
            )
            yield f"    sent  {_bytes(there)}  {_text(there)}"
            yield f"          {marks}".rstrip()


def _bytes(raw: bytes) -> str:
    return raw.hex(" ").ljust(WIDTH * 3 - 1)


def _text(raw: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in raw)
