"""What happened to a message on its way, told from what arrived and, if known, what was sent.

With both, it is certain: which bits flipped and whether in one burst, what was cut off, moved,
repeated or swapped, or whether some program took the bytes for text. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

BURST_BYTES: Final = 64
"""Flipped bits no further apart than this are one burst."""
MAX_SHIFT_BYTES: Final = 4_096
MAX_TRIES: Final = 64
"""Places where a moved block may have come from that are looked at."""
REPLACEMENT: Final = "\ufffd".encode()
"""What programs put in place of bytes that are no UTF-8."""


CONVERSIONS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "decoded as UTF-8 with replacements": lambda raw: raw.decode("utf-8", "replace").encode(),
    "decoded as Latin-1 and sent as UTF-8": lambda raw: raw.decode("latin-1").encode(),
    "decoded as UTF-8, the rest left out": lambda raw: raw.decode("utf-8", "ignore").encode(),
    "decoded as ASCII with question marks": (
        lambda raw: raw.decode("ascii", "replace").encode("ascii", "replace")
    ),
    "line feeds made CR LF": lambda raw: raw.replace(b"\n", b"\r\n"),
    "CR LF made line feeds": lambda raw: raw.replace(b"\r\n", b"\n"),
    "the highest bit of each byte cleared": lambda raw: bytes(byte & 0x7F for byte in raw),
}
"""What programs do to bytes that they take for text."""


class Finding(NamedTuple):
    """What happened, in a word and in a sentence, and where it began in what arrived.

    Attributes:
        kind: the same for the same fault, for summaries.
        at: offset of the first byte that differs; -1: none is known.
        length: of what is damaged, in bytes.
    """

    kind: str
    text: str
    at: int = -1
    length: int = 0


def compare(arrived: bytes, sent: bytes) -> Finding:
    """What happened between ``sent`` and ``arrived``."""
    if arrived == sent:
        return Finding("none", "it arrived as it was sent")
    for look in (_as_text, _cut, _repeated, _swapped_bytes, _moved, _inserted):
        found = look(arrived, sent)
        if found is not None:
            return found
    if len(arrived) == len(sent):
        return _flipped(arrived, sent)
    at = _first_difference(arrived, sent)
    return Finding(
        "rewritten",
        f"from byte {at} on it is something else ({len(sent)} bytes sent, {len(arrived)} arrived)",
        at,
        len(arrived) - at,
    )


def _first_difference(a: bytes, b: bytes) -> int:
    size = min(len(a), len(b))
    differs = np.flatnonzero(np.frombuffer(a, np.uint8, size) != np.frombuffer(b, np.uint8, size))
    return int(differs[0]) if differs.size else size


def _flipped(arrived: bytes, sent: bytes) -> Finding:
    """Bits of a message of the same length."""
    a, b = np.frombuffer(arrived, np.uint8), np.frombuffer(sent, np.uint8)
    where = np.flatnonzero(a != b)
    bits = int(np.unpackbits(a ^ b).sum())
    bursts = 1 + int((np.diff(where) > BURST_BYTES).sum())
    first, last = int(where[0]), int(where[-1])
    if bits == 1:
        bit = int(a[first] ^ b[first]).bit_length() - 1
        return Finding(
            "one bit flipped",
            f"bit {bit} of byte {first} was flipped: {b[first]:#04x} became {a[first]:#04x}",
            first,
            1,
        )
    if not a[first : last + 1].any():
        return Finding("zeroed", f"bytes {first} to {last} became zeros", first, last - first + 1)
    kind = "bits flipped in one burst" if bursts == 1 else "bits flipped in many places"
    parts = "" if bursts == 1 else f"{bursts} bursts from "
    text = f"{bits} bits flipped in {parts}bytes {first} to {last}"
    return Finding(kind, text, first, last - first + 1)


def _cut(arrived: bytes, sent: bytes) -> Finding | None:
    missing = len(sent) - len(arrived)
    if missing <= 0:
        return None
    if sent.startswith(arrived):
        return Finding("truncated", f"the last {missing} bytes are missing", len(arrived), 0)
    if sent.endswith(arrived):
        return Finding("truncated", f"the first {missing} bytes are missing", 0, 0)
    at = _first_difference(arrived, sent)
    if arrived[at:] == sent[at + missing :]:
        return Finding("bytes lost", f"{missing} bytes are missing from byte {at} on", at, 0)
    return None


def _inserted(arrived: bytes, sent: bytes) -> Finding | None:
    more = len(arrived) - len(sent)
    if more <= 0:
        return None
    at = _first_difference(arrived, sent)
    if arrived[at + more :] == sent[at:]:
        return Finding("bytes inserted", f"{more} bytes were put in at byte {at}", at, more)
    return None


def _repeated(arrived: bytes, sent: bytes) -> Finding | None:
    """A block that came twice in a row, or in place of what follows it."""
    at = _first_difference(arrived, sent)
    more = len(arrived) - len(sent)
    twice = more > 0 and at >= more and arrived[at : at + more] == arrived[at - more : at]
    if twice and arrived[at + more :] == sent[at:]:
        return Finding("repeated", f"{more} bytes before byte {at} came twice", at, more)
    if more == 0:
        end = len(sent) - _first_difference(arrived[::-1], sent[::-1])
        size = end - at
        if size > 1 and at >= size and arrived[at:end] == sent[at - size : at]:
            return Finding(
                "repeated", f"bytes {at} to {end - 1} repeat the {size} before them", at, size
            )
    return None


def _swapped_bytes(arrived: bytes, sent: bytes) -> Finding | None:
    """Pairs of bytes exchanged: samples of the other byte order."""
    if len(arrived) != len(sent):
        return None
    at = _first_difference(arrived, sent)
    end = len(sent) - _first_difference(arrived[::-1], sent[::-1])
    for start in (at, at - 1):
        size = (end - start + 1) // 2 * 2
        if start < 0 or size < 4 or start + size > len(sent):
            continue
        pairs = np.frombuffer(sent, np.uint8, size, start).reshape(-1, 2)[:, ::-1].tobytes()
        if arrived[start : start + size] == pairs:
            return Finding(
                "byte-swapped",
                f"bytes {start} to {start + size - 1} are swapped in pairs (the other byte order)",
                start,
                size,
            )
    return None


def _moved(arrived: bytes, sent: bytes) -> Finding | None:
    """A block that is somewhere else: two that changed places, or all shifted."""
    if len(arrived) != len(sent):
        return None
    start = _first_difference(arrived, sent)
    end = len(sent) - _first_difference(arrived[::-1], sent[::-1])
    here, there = arrived[start:end], sent[start:end]
    if len(here) < 8 or sorted(here) != sorted(there):
        return None
    # What stands at the front now stood further back: look where.
    probe = here[: min(8, len(here))]
    found = there.find(probe)
    for _ in range(MAX_TRIES):
        if not 0 < found <= MAX_SHIFT_BYTES * 4:
            break
        if here == there[found:] + there[:found]:
            return Finding(
                "moved", f"bytes {start} to {end - 1} are rotated by {found}", start, len(here)
            )
        size = len(there) - found
        swapped = (
            size <= found
            and here[:size] == there[found:]
            and here[-size:] == there[:size]
            and here[size:-size] == there[size:-size]
        )
        if swapped:
            return Finding(
                "moved",
                f"two blocks of {size} bytes changed places, at byte {start} and {start + found}",
                start,
                len(here),
            )
        found = there.find(probe, found + 1)
    return None


def _as_text(arrived: bytes, sent: bytes) -> Finding | None:
    """Some program on the way took the bytes for text."""
    for name, convert in CONVERSIONS.items():
        if arrived == convert(sent):
            at = _first_difference(arrived, sent)
            return Finding("taken for text", f"a program took it for text: {name}", at)
    return None


def guess(arrived: bytes) -> Finding:
    """What can be told without knowing what was sent: little, and only what shows itself."""
    count = arrived.count(REPLACEMENT)
    if count > 3 and count * 30 > len(arrived):
        return Finding(
            "taken for text",
            f"probably a program took it for text: {count} replacement characters",
            arrived.find(REPLACEMENT),
        )
    return Finding("unknown", "what was sent is not known: it did not come again")
