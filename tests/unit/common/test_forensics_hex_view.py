"""The hex view shows what arrived around a fault, and what was sent in its place."""

from __future__ import annotations

from common.forensics.hex_view import MOST_LINES, hex_view

SENT = bytes(range(256))


def test_the_lines_around_a_fault_are_shown_with_what_was_sent() -> None:
    arrived = SENT[:100] + b"\xff" + SENT[101:]
    lines = list(hex_view(arrived, SENT, 100, 1))
    assert [line.split()[0] for line in lines] == ["64", "80", "96", "sent", "^^", "112", "128"]
    assert lines[2].startswith("      96  60 61 62 63 ff 65")
    assert lines[2].endswith("`abc.efghijklmno")
    assert lines[3].index("64") == lines[2].index("ff") == lines[4].index("^^")


def test_a_long_fault_is_shown_in_part() -> None:
    lines = list(hex_view(bytes(10_000), b"\x01" * 10_000, 0, 10_000))
    assert len(lines) == 3 * MOST_LINES


def test_without_what_was_sent_the_beginning_is_shown() -> None:
    assert len(list(hex_view(SENT, b"", -1))) == 3
    assert list(hex_view(b"", b"", -1)) == []
