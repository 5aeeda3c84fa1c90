from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from common.client.frames import FrameBuilder, OnTheLine, corrupted, flip_bit, pcm_bytes
from common.integrity import Algorithm, digest
from common.wire import parse_message

SPEECH = np.arange(-50, 50, dtype=np.int16).tobytes()


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_frame_carries_what_a_verifier_checks(algorithm: Algorithm) -> None:
    builder = FrameBuilder(algorithm, b"secret")
    message = builder.build(SPEECH, number=7, sample_rate_hz=44_100, timestamp_ms=1_640_995_200_000)
    metadata, rate_hz, pcm = parse_message(message)
    assert bytes(pcm) == SPEECH
    assert rate_hz == 44_100
    assert metadata.data_length == 100
    assert metadata.audio_sequence == 7
    assert metadata.timestamp == 1_640_995_200_000
    assert metadata.server_sent_to_stt is True
    assert metadata.checksum == digest(algorithm, metadata, pcm, b"secret")


def test_the_default_algorithm_is_not_named_in_the_header() -> None:
    message = FrameBuilder().build(SPEECH, number=0, sample_rate_hz=16_000, timestamp_ms=0)
    assert b"checksumAlgorithm" not in message
    assert b'"sampleRate":16000,"dataLength":100,' in message


def test_a_keyed_algorithm_needs_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        FrameBuilder(Algorithm.HMAC_SHA256)


def test_arrays_and_bytes_are_the_same_pcm() -> None:
    samples = np.array([1, -2, 3], dtype=np.int16)
    expected = samples.astype("<i2").tobytes()
    assert pcm_bytes(samples) == pcm_bytes(expected) == pcm_bytes(memoryview(expected))
    assert pcm_bytes(samples.astype(">i2")) == expected


@pytest.mark.parametrize(
    "samples", [np.zeros(4, np.float32), np.zeros((4, 2), np.int16), np.zeros(4, np.uint16)]
)
def test_arrays_that_are_not_int16_mono_are_refused(samples: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected int16 samples of one channel"):
        pcm_bytes(samples)


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        pcm_bytes(b"abc")


@pytest.mark.parametrize("bit", [0, 7, 8, 15])
def test_flipping_a_bit_changes_one_sample_and_nothing_else(bit: int) -> None:
    message = FrameBuilder().build(SPEECH, number=0, sample_rate_hz=16_000, timestamp_ms=0)
    damaged = flip_bit(message, bit)
    assert len(damaged) == len(message)
    assert damaged[:-2] == message[:-2]
    assert (
        int.from_bytes(damaged[-2:], "little") ^ int.from_bytes(message[-2:], "little") == 1 << bit
    )


def test_a_fault_of_the_line_leaves_what_is_held_whole() -> None:
    message = b"\0\0\0\0ab"
    assert corrupted(message, None) == (message, None)
    assert corrupted(message, flip_bit) == (flip_bit(message), None)
    assert corrupted(message, OnTheLine(flip_bit)) == (message, flip_bit(message))
