"""From bytes of any form and length to frames, sample by sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire import Mark, parse_message
from gateway.protocols.audio import (
    FRAME_MS,
    LEAST_FRAME_MS,
    AudioFormat,
    Encoding,
    FrameMaker,
    checked_format,
)
from gateway.protocols.base import ProtocolError
from tests.protocols.g711 import from_alaw, from_mulaw

PCM = AudioFormat(Encoding.PCM16, 16_000)


def heard(audio_format: AudioFormat, *pieces: bytes) -> bytes:
    maker = FrameMaker(audio_format)
    frames = [frame for piece in pieces for frame in maker.take(piece)] + maker.flush()
    return b"".join(bytes(parse_message(frame).pcm) for frame in frames)


@given(st.binary(max_size=4000), st.lists(st.integers(0, 4000), max_size=12))
def test_pieces_that_split_a_sample_are_joined(audio: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(audio), *(cut for cut in cuts if cut < len(audio))})
    pieces = [audio[a:b] for a, b in itertools.pairwise(edges)]
    assert heard(PCM, *pieces) == audio[: len(audio) // 2 * 2]


def test_g711_is_what_the_standard_says() -> None:
    every = bytes(range(256))
    assert heard(AudioFormat(Encoding.MULAW, 8000), every) == from_mulaw(every)
    assert heard(AudioFormat(Encoding.ALAW, 8000), every) == from_alaw(every)


def test_other_widths_keep_their_upper_bits() -> None:
    assert heard(AudioFormat(Encoding.PCM8, 16000), bytes([0, 128, 255])) == (
        np.array([-32768, 0, 32512], "<i2").tobytes()
    )
    wide = np.array([-(2**31), 0, 2**31 - 1, 70_000], "<i4").tobytes()
    expected = np.array([-32768, 0, 32767, 1], "<i2").tobytes()
    assert heard(AudioFormat(Encoding.PCM32, 16000), wide) == expected
    three = b"".join(wide[i + 1 : i + 4] for i in range(0, 16, 4))
    assert heard(AudioFormat(Encoding.PCM24, 16000), three) == expected


def test_channels_are_mixed() -> None:
    stereo = np.array([100, 300, -5, -5], "<i2").tobytes()
    assert heard(AudioFormat(Encoding.PCM16, 16000, 2), stereo) == (
        np.array([200, -5], "<i2").tobytes()
    )


def test_thousands_of_tiny_pieces_make_few_frames() -> None:
    maker = FrameMaker(PCM)
    frames = [frame for _ in range(16_000) for frame in maker.take(b"\1\0")] + maker.flush()
    assert len(frames) == 1000 // LEAST_FRAME_MS
    assert maker.position_ms == pytest.approx(1000)


def test_one_large_piece_is_cut_into_frames_of_a_sensible_size() -> None:
    frames = FrameMaker(PCM).take(bytes(2 * 16_000 * 10))
    sizes = [len(parse_message(frame).pcm) // 2 for frame in frames]
    assert sizes == [16 * FRAME_MS] * (10_000 // FRAME_MS)


def test_a_change_of_format_passes_on_what_waited_in_the_old_one() -> None:
    maker = FrameMaker(PCM)
    assert maker.take(b"\1\0\2\0\3") == []
    (frame,) = maker.change(AudioFormat(Encoding.PCM16, 24_000))
    assert (parse_message(frame).sample_rate_hz, bytes(parse_message(frame).pcm)) == (
        16_000,
        b"\1\0\2\0",
    )
    assert maker.change(maker.format) == []
    maker.take(b"\4\0")
    (frame,) = maker.flush()
    assert (parse_message(frame).sample_rate_hz, bytes(parse_message(frame).pcm)) == (
        24_000,
        b"\4\0",
    )


def test_what_is_held_and_what_is_not_share_no_frame() -> None:
    maker = FrameMaker(PCM)
    maker.take(b"\1\0")
    frames = maker.take(b"\2\0", held=True) + maker.mark(Mark.END, 7)
    marks = [parse_message(frame).metadata.utterance for frame in frames]
    assert marks == [None, Mark.HOLD, Mark.END]
    assert parse_message(frames[-1]).metadata.utterance_number == 7


@pytest.mark.parametrize("rate_hz", [None, "16000", 0, 3_999, 192_001, True, 16_000.0])
def test_a_rate_that_cannot_be_is_refused(rate_hz: object) -> None:
    with pytest.raises(ProtocolError, match="sample rate"):
        checked_format(Encoding.PCM16, rate_hz)


@pytest.mark.parametrize("channels", [0, 9, None, "2"])
def test_a_number_of_channels_that_cannot_be_is_refused(channels: object) -> None:
    with pytest.raises(ProtocolError, match="channels"):
        checked_format(Encoding.PCM16, 16_000, channels)
