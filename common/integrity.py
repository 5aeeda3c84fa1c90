"""Checksums of audio and what a wrong one says about the fault.

The additive checksum is the compatible default: the sum of all int16 samples modulo 2**32. It
misses reordered samples and errors that cancel out. The other algorithms do not, and cover the
protected metadata as well as the samples.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from typing import Final

import google_crc32c
import numpy as np
import numpy.typing as npt
import xxhash

from .wire import BYTES_PER_SAMPLE, Metadata

MASK32: Final = 0xFFFFFFFF
_INT16: Final = np.dtype("<i2")
_INT32: Final = np.dtype(np.int32)


class Algorithm(enum.StrEnum):
    """Values of ``checksumAlgorithm``."""

    ADDITIVE = "additive"
    CRC32C = "crc32c"
    XXH3_64 = "xxh3_64"
    HMAC_SHA256 = "hmac-sha256"


ALGORITHMS: Final = frozenset(Algorithm)


def additive_checksum(pcm: bytes | memoryview) -> int:
    """Sum of the int16 samples of ``pcm`` modulo 2**32, as an unsigned integer.

    An odd last byte is ignored. int32 accumulation wraps modulo 2**32 and is the fastest.
    """
    samples = np.frombuffer(pcm, _INT16, len(pcm) // BYTES_PER_SAMPLE)
    return int(np.add.reduce(samples, dtype=_INT32)) & MASK32


def protected_metadata(metadata: Metadata) -> bytes:
    """The bytes that a strong digest covers before the samples.

    One line a field, in this order, empty where the client sent none:
    ``sampleRate``, ``dataLength``, ``audioSequence``, ``timestamp`` (whole numbers).
    """
    fields = (
        metadata.sample_rate,
        metadata.data_length,
        metadata.audio_sequence,
        metadata.timestamp,
    )
    return "".join("\n" if value is None else f"{int(value)}\n" for value in fields).encode()


def digest(
    algorithm: Algorithm, metadata: Metadata, pcm: bytes | memoryview, key: bytes = b""
) -> int | str:
    """Checksum in the form that goes on the wire.

    Returns:
        An unsigned 32-bit integer (``additive``, ``crc32c``) or lower-case hexadecimal.
    """
    match algorithm:
        case Algorithm.ADDITIVE:
            return additive_checksum(pcm)
        case Algorithm.CRC32C:
            prefix = google_crc32c.value(protected_metadata(metadata))
            return int(google_crc32c.extend(prefix, bytes(pcm)))
        case Algorithm.XXH3_64:
            state = xxhash.xxh3_64(protected_metadata(metadata))
            state.update(pcm)
            return state.hexdigest()
        case Algorithm.HMAC_SHA256:
            mac = hmac.new(key, protected_metadata(metadata), hashlib.sha256)
            mac.update(pcm)
            return mac.hexdigest()


def same_checksum(algorithm: Algorithm, expected: int | str, actual: int | str) -> bool:
    """Whether the client's value names the digest that was computed.

    JavaScript's ``& 0xFFFFFFFF`` yields a signed int32, so integers compare modulo 2**32.
    Digests compare in constant time and without regard to case.
    """
    if isinstance(actual, int):
        return isinstance(expected, int) and expected & MASK32 == actual
    text = expected if isinstance(expected, str) else f"{expected:x}"
    return text.isascii() and hmac.compare_digest(text.lower().rjust(len(actual), "0"), actual)


def diagnose(
    algorithm: Algorithm,
    metadata: Metadata,
    pcm: bytes | memoryview,
    *,
    expected_length: int | None,
    expected: int | str | None,
    key: bytes = b"",
) -> str:
    """Name the fault where the numbers prove it; "" where they do not.

    Stateless: a repeated frame can only be recognised by who has seen the one before.
    """
    actual_length = len(pcm) // BYTES_PER_SAMPLE
    if len(pcm) % BYTES_PER_SAMPLE:
        return "odd number of PCM bytes: half a sample is missing"
    if expected_length is not None and actual_length != expected_length:
        missing = expected_length - actual_length
        if missing == actual_length * (BYTES_PER_SAMPLE - 1) and missing > 0:
            return "dataLength counts bytes, not samples"
        return f"truncated by {missing} samples" if missing > 0 else f"{-missing} extra samples"
    if expected is None or not actual_length:
        return ""
    if isinstance(expected, str) and algorithm in (Algorithm.ADDITIVE, Algorithm.CRC32C):
        return f"checksum is text, but {algorithm} checksums are numbers"
    samples = np.frombuffer(pcm, _INT16)
    if same_checksum(algorithm, expected, digest(algorithm, metadata, swapped(samples), key)):
        return "byte-swapped samples (big-endian)"
    if algorithm is Algorithm.ADDITIVE and isinstance(expected, int):
        return _diagnose_additive(expected & MASK32, samples)
    return ""


def swapped(samples: npt.NDArray[np.int16]) -> bytes:
    """The samples with their two bytes exchanged."""
    return samples.byteswap().tobytes()


def _diagnose_additive(expected: int, samples: npt.NDArray[np.int16]) -> str:
    octets = samples.view(np.uint8)
    if expected == int(octets.sum(dtype=np.int64)) & MASK32:
        return "checksum taken over bytes, not samples"
    # A frame of silence has 0 too: damaged, it has few other samples.
    if expected == 0 and np.count_nonzero(samples) > samples.size // 2:
        return "checksum is 0 but the audio is not silent (taken over floats, or never computed)"
    total = int(samples.sum(dtype=np.int64))
    of_floats = {int(total / full_scale) & MASK32 for full_scale in (32768.0, 32767.0)}
    if expected in of_floats:
        return "checksum taken over floats, not int16 samples"
    return ""
