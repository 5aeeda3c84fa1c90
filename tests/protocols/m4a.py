"""An M4A file of some hundred bytes whose index says that it has any number of samples."""

from __future__ import annotations

import struct
from typing import Final

AAC: Final = "0319000100041140150000000000000000000000000005021210060102"


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *parts)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def m4a(samples: int) -> bytes:
    """A file whose reader makes an index entry for each of its samples, none of which is there."""
    esds = full(b"esds", bytes.fromhex(AAC))
    format_of_audio = struct.pack(">6xH8xHHHHI", 1, 2, 16, 0, 0, 44_100 << 16)
    table = box(
        b"stbl",
        full(b"stsd", numbers(1), box(b"mp4a", format_of_audio, esds)),
        full(b"stts", numbers(1, samples, 1_024)),
        full(b"stsc", numbers(1, 1, samples, 1)),
        full(b"stsz", numbers(1, samples)),
        full(b"stco", numbers(1, 8)),
    )
    here = box(b"dinf", full(b"dref", numbers(1), full(b"url ", flags=1)))
    media = box(
        b"mdia",
        full(b"mdhd", numbers(0, 0, 44_100, 44_100), struct.pack(">HH", 0x55C4, 0)),
        full(b"hdlr", struct.pack(">4x4s13x", b"soun")),
        box(b"minf", full(b"smhd", bytes(4)), here, table),
    )
    track = full(b"tkhd", numbers(0, 0, 1, 0, 44_100), bytes(60), flags=7)
    head = full(b"mvhd", numbers(0, 0, 44_100, 44_100), bytes(80))
    kind = box(b"ftyp", b"M4A \0\0\0\0M4A ")
    return kind + box(b"moov", head, box(b"trak", track, media)) + box(b"mdat", bytes(64))


BOMB: Final = m4a(30_000_000)
"""Its index takes a gigabyte."""
