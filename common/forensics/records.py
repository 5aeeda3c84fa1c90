"""Quarantine files: corrupt frames as they arrived, and as they were sent if that is known.

A file is a row of msgpack maps, one a record, appended whole; it is read as a stream, and what a
crash cut off at its end is left out. Fields may be added; readers ignore those that they do not
know.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgpack

SUFFIX: Final = ".quarantine"
VERSION: Final = 1
MAX_RECORD_BYTES: Final = 64 << 20
READ_BYTES: Final = 1 << 16


class QuarantineError(ValueError):
    """A file is no quarantine file; the message names it and the reason."""


class Corruption(NamedTuple):
    """One message that arrived corrupt.

    Attributes:
        time_ns: when, since 1970.
        client: address and port.
        session: the first 8 hexadecimal digits of the SHA-256 of its id.
        sequence, attempt: which frame, and how often it had been asked for before.
        kind: ``checksum``, ``length``, or why the message could not be read.
        diagnosis: what the server said about it.
        expected, actual: the client's checksum, and that of what arrived.
        message: as it arrived.
        good: the message that took its place; empty while that is not known.
    """

    time_ns: int
    client: str
    session: str
    sequence: int
    attempt: int
    kind: str
    diagnosis: str
    expected: int | str | None
    actual: int | str | None
    message: bytes
    good: bytes = b""


def packed(record: Corruption) -> bytes:
    """A record as it is appended."""
    fields: bytes = msgpack.packb({"v": VERSION, **record._asdict()})
    return fields


def read(path: Path) -> Iterator[Corruption]:
    """The records of one file, oldest first.

    Raises:
        QuarantineError: it holds something else.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        yield from read_stream(file, str(path))


def read_stream(file: BinaryIO | io.BytesIO, name: str) -> Iterator[Corruption]:
    """The same of an open file."""
    unpacker = msgpack.Unpacker(
        file, read_size=READ_BYTES, max_buffer_size=MAX_RECORD_BYTES, raw=False
    )
    try:
        for fields in unpacker:
            yield _record(fields)
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        reason = str(error) or type(error).__name__
        raise QuarantineError(f"{name} is no quarantine file: {reason}") from None


def _record(fields: Any) -> Corruption:
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise ValueError("not a record of this version")
    known = {name: fields[name] for name in Corruption._fields if name in fields}
    if not all(isinstance(known.get(name, b""), bytes) for name in ("message", "good")):
        raise TypeError("a message that is no bytes")
    return Corruption(**known)
