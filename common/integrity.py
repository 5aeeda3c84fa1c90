"""Checksums of audio; what a wrong one says stands in :mod:`common.diagnosis`.

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
    if algorithm is Algorithm.ADDITIVE:
        return additive_checksum(pcm)
    return digest_of(algorithm, protected_metadata(metadata), pcm, key)


def digest_of(
    algorithm: Algorithm, prefix: bytes, pcm: bytes | memoryview, key: bytes = b""
) -> int | str:
    """A digest, or the CRC, of ``prefix`` and then the samples.

    Raises:
        ValueError: of the additive checksum, which covers samples alone.
    """
    match algorithm:
        case Algorithm.XXH3_64:
            state = xxhash.xxh3_64(prefix)
            state.update(pcm)
            return state.hexdigest()
        case Algorithm.HMAC_SHA256:
            mac = hmac.new(key, prefix, hashlib.sha256)
            mac.update(pcm)
            return mac.hexdigest()
        case Algorithm.CRC32C:
            return int(google_crc32c.extend(google_crc32c.value(prefix), bytes(pcm)))
        case Algorithm.ADDITIVE:
            raise ValueError("the additive checksum covers no metadata")


def same_checksum(algorithm: Algorithm, expected: int | str, actual: int | str) -> bool:
    """Whether the client's value names the digest that was computed.

    JavaScript's ``& 0xFFFFFFFF`` yields a signed int32, so integers compare modulo 2**32.
    Digests compare in constant time and without regard to case.
    """
    if isinstance(actual, int):
        return isinstance(expected, int) and expected & MASK32 == actual
    text = expected if isinstance(expected, str) else f"{expected:x}"
    return text.isascii() and hmac.compare_digest(text.lower().rjust(len(actual), "0"), actual)
