"""Builds a client's frames: checksum, numbering, time stamp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..integrity import Algorithm, digest
from ..wire import BYTES_PER_SAMPLE, LENGTH_PREFIX, Metadata, build_message

Pcm = bytes | bytearray | memoryview | npt.NDArray[np.int16]
"""int16 mono samples: little-endian bytes, or a numpy array."""


class FrameBuilder:
    """Makes verified frames of PCM, with one algorithm and key for all of them."""

    def __init__(self, algorithm: Algorithm = Algorithm.ADDITIVE, key: bytes = b"") -> None:
        if algorithm is Algorithm.HMAC_SHA256 and not key:
            raise ValueError("hmac-sha256 needs a key")
        self._algorithm = algorithm
        self._key = key
        self._name = None if algorithm is Algorithm.ADDITIVE else str(algorithm)

    def build(self, pcm: bytes, *, number: int, sample_rate_hz: int, timestamp_ms: int) -> bytes:
        """The message for one frame of int16 LE samples."""
        metadata = self._metadata(pcm, number, sample_rate_hz, timestamp_ms, None)
        checksum = digest(self._algorithm, metadata, pcm, self._key)
        return build_message(
            self._metadata(pcm, number, sample_rate_hz, timestamp_ms, checksum), pcm
        )

    def _metadata(
        self,
        pcm: bytes,
        number: int,
        sample_rate_hz: int,
        timestamp_ms: int,
        checksum: int | str | None,
    ) -> Metadata:
        return Metadata(
            sample_rate=sample_rate_hz,
            data_length=len(pcm) // BYTES_PER_SAMPLE,
            checksum=checksum,
            checksum_algorithm=self._name,
            audio_sequence=number,
            timestamp=timestamp_ms,
            server_sent_to_stt=True,
        )


def pcm_bytes(pcm: Pcm) -> bytes:
    """``pcm`` as int16 LE bytes.

    Raises:
        ValueError: an array that is not one-dimensional int16, or an odd number of bytes.
    """
    if isinstance(pcm, np.ndarray):
        if pcm.dtype.kind != "i" or pcm.dtype.itemsize != BYTES_PER_SAMPLE or pcm.ndim != 1:
            raise ValueError(
                f"expected int16 samples of one channel, got {pcm.dtype} of shape {pcm.shape}"
            )
        return pcm.astype("<i2", copy=False).tobytes()
    raw = bytes(pcm)
    if len(raw) % BYTES_PER_SAMPLE:
        raise ValueError(f"{len(raw)} bytes of PCM are not a whole number of int16 samples")
    return raw


Corruption = Callable[[bytes], bytes]


class OnTheLine:
    """A corruption that befalls a message on its way: what is sent again is whole."""

    def __init__(self, corrupt: Corruption) -> None:
        self._corrupt = corrupt

    def __call__(self, message: bytes) -> bytes:
        """What arrives."""
        return self._corrupt(message)


def corrupted(message: bytes, corrupt: Corruption | None) -> tuple[bytes, bytes | None]:
    """What a client holds of a message, and what it sends first if that is something else."""
    if isinstance(corrupt, OnTheLine):
        return message, corrupt(message)
    return (corrupt(message) if corrupt is not None else message), None


def flip_bit(message: bytes, bit: int = 0) -> bytes:
    """``message`` with one bit of its last sample flipped: a fault that every check detects."""
    if len(message) <= LENGTH_PREFIX.size:
        raise ValueError("the message holds no samples")
    damaged = bytearray(message)
    damaged[-BYTES_PER_SAMPLE + bit // 8] ^= 1 << bit % 8
    return bytes(damaged)
