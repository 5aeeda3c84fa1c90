"""gateway.ffmpeg_decoder: what it writes of a file, and what it says of one that it cannot read."""

from __future__ import annotations

import io

import av
import pytest

from gateway.ffmpeg_decoder import SIZE, decode
from tests.protocols.m4a import m4a
from tests.unit.gateway.test_upload_audio import RATE_HZ, TONE, mp4


def test_each_piece_begins_with_its_size() -> None:
    out = io.BytesIO()
    assert decode(av, io.BytesIO(mp4()), out) == ""
    written, at, samples = out.getvalue(), 0, 0
    while at < len(written):
        (size,) = SIZE.unpack_from(written, at)
        assert 0 < size <= 2 * RATE_HZ
        at += SIZE.size + size
        samples += size // 2
    assert at == len(written)
    assert abs(samples - len(TONE)) < 4_000


@pytest.mark.parametrize(
    "data, why", [(b"no audio", "Invalid data"), (m4a(10), "Invalid data"), (m4a(0), "no audio")]
)
def test_what_is_wrong_with_a_file_is_said_and_nothing_is_written(data: bytes, why: str) -> None:
    out = io.BytesIO()
    assert why in decode(av, io.BytesIO(data), out)
    assert out.getvalue() == b""
