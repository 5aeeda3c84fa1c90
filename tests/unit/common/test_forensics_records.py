"""Quarantine files: what is appended is read, whatever a crash left at their end."""

from __future__ import annotations

import io
from pathlib import Path

import msgpack
import pytest

from common.forensics.records import Corruption, QuarantineError, packed, read, read_stream

RECORD = Corruption(5, "10.0.0.1:7", "ab12cd34", 3, 1, "checksum", "d", 1, "ff", b"bad", b"good")


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    other = RECORD._replace(good=b"", expected=None)
    path = tmp_path / "a.quarantine"
    path.write_bytes(packed(RECORD) + packed(other))
    assert list(read(path)) == [RECORD, other]


@pytest.mark.parametrize("cut", range(1, 20))
def test_what_a_crash_cut_off_is_left_out(cut: int) -> None:
    raw = packed(RECORD) + packed(RECORD)[:-cut]
    assert list(read_stream(io.BytesIO(raw), "a")) == [RECORD]


def test_fields_of_a_later_version_are_ignored() -> None:
    fields = {**msgpack.unpackb(packed(RECORD)), "weather": "fine"}
    assert list(read_stream(io.BytesIO(msgpack.packb(fields)), "a")) == [RECORD]


@pytest.mark.parametrize(
    "raw",
    [b"\xc1", msgpack.packb([1]), msgpack.packb({"v": 2}), msgpack.packb({"v": 1}), b"RIFF"],
)
def test_another_file_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(QuarantineError, match="a is no quarantine file"):
        list(read_stream(io.BytesIO(raw), "a"))
