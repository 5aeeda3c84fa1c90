"""Headers of WAV files that come bit by bit."""

from __future__ import annotations

import contextlib
import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError
from gateway.protocols.wav_header import read_wav_header


def wav(channels: int = 1, width: int = 2, rate_hz: int = 16_000, samples: bytes = b"") -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(samples)
    return file.getvalue()


@pytest.mark.parametrize(
    "width, encoding",
    [(1, Encoding.PCM8), (2, Encoding.PCM16), (3, Encoding.PCM24), (4, Encoding.PCM32)],
)
def test_the_format_and_where_the_samples_begin(width: int, encoding: Encoding) -> None:
    file = wav(2, width, 44_100, b"12345678" * 3)
    found = read_wav_header(file)
    assert found == (AudioFormat(encoding, 44_100, 2), 44)


@given(st.integers(0, 43))
def test_a_part_of_a_header_wants_more(size: int) -> None:
    assert read_wav_header(wav()[:size]) is None


def test_other_chunks_are_passed_over() -> None:
    file = wav()
    extra = b"LIST" + struct.pack("<I", 5) + b"12345\0"
    assert read_wav_header(file[:12] + extra + file[12:]) == (
        AudioFormat(Encoding.PCM16, 16_000),
        58,
    )


@given(st.binary(min_size=12, max_size=100).filter(lambda data: not data.startswith(b"RIFF")))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_wav_header(data)


@given(st.binary(max_size=60))
def test_an_arbitrary_rest_raises_nothing_else(rest: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        read_wav_header(b"RIFF\0\0\0\0WAVE" + rest)


def test_a_format_that_is_no_pcm_is_named() -> None:
    file = bytearray(wav())
    file[20:22] = struct.pack("<H", 85)
    with pytest.raises(ProtocolError, match="format 85"):
        read_wav_header(bytes(file))
