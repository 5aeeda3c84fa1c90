"""What a wrong checksum or length says about the fault.

A diagnosis is a claim about somebody's software. *Certain* is only what no other fault explains;
what fits the numbers, but could be otherwise, is *likely*. The additive checksum proves little: a
sum does not tell which samples it is of, and silence may be cut without changing it.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import google_crc32c
import msgspec
import numpy as np
import numpy.typing as npt

from common.integrity import MASK32, Algorithm, digest, digest_of, same_checksum
from common.wire import BYTES_PER_SAMPLE, Metadata

INT16: Final = np.dtype("<i2")
FULL_SCALE: Final = 32_768
RICH_SAMPLES: Final = 64
"""Below so many samples a sum is met by chance."""
Samples = npt.NDArray[np.int16]
Pcm = bytes | memoryview


class Diagnosis(NamedTuple):
    """What is known of a fault, each "" where nothing is.

    Attributes:
        certain: what every other explanation contradicts.
        likely: the simplest explanation of the numbers; there are others.
    """

    certain: str = ""
    likely: str = ""


NOTHING: Final = Diagnosis()


def diagnose(
    algorithm: Algorithm,
    metadata: Metadata,
    pcm: Pcm,
    *,
    expected_length: int | None,
    expected: int | str | None,
    key: bytes = b"",
) -> Diagnosis:
    """Name the fault of a corrupt frame.

    Stateless: a repeated frame can only be recognised by who has seen the one before.
    """
    if len(pcm) % BYTES_PER_SAMPLE:
        return Diagnosis("odd number of PCM bytes: the samples are not whole")
    samples = np.frombuffer(pcm, INT16)
    if expected_length is not None and samples.size != expected_length:
        if algorithm is Algorithm.ADDITIVE or expected is None:
            return _wrong_length(samples, expected_length, expected)
        return _wrong_length_of_digest(algorithm, metadata, pcm, expected_length, expected, key)
    if expected is None or not samples.size:
        return NOTHING
    if algorithm is Algorithm.ADDITIVE:
        return _wrong_sum(samples, pcm, expected)
    return _wrong_digest(algorithm, metadata, pcm, expected, key)


def swapped(samples: Samples) -> bytes:
    """The samples with their two bytes exchanged."""
    return samples.byteswap().tobytes()


# -- the additive checksum ------------------------------------------------------------------------


def _wrong_length(samples: Samples, declared: int, expected: int | str | None) -> Diagnosis:
    """Never certain: ``dataLength`` may be wrong, or samples be missing that sum to 0."""
    missing = declared - samples.size
    if isinstance(expected, int):
        rest = _signed(expected - int(samples.sum(dtype=np.int64)))
        if rest == 0 and missing < 0 and not (samples[:-missing].any() and samples[missing:].any()):
            return Diagnosis(likely=_by_length(missing))  # padding
        if rest == 0 and np.count_nonzero(samples) > samples.size // 2:
            if declared == samples.size * BYTES_PER_SAMPLE:
                return Diagnosis(likely="dataLength counts bytes, not samples")
            return Diagnosis(likely="dataLength is wrong, the audio is whole")
        if rest == 0 or abs(rest) > abs(missing) * FULL_SCALE:
            return NOTHING  # what is missing, or too much, does not account for the checksum
    return Diagnosis(likely=_by_length(missing))


def _by_length(missing: int) -> str:
    return f"truncated by {missing} samples" if missing > 0 else f"{-missing} extra samples"


def _signed(total: int) -> int:
    """A difference modulo 2**32, nearest to 0."""
    return (total + 2**31 & MASK32) - 2**31


def _wrong_sum(samples: Samples, pcm: Pcm, expected: int | str) -> Diagnosis:
    if isinstance(expected, str):
        return Diagnosis("checksum is text, but additive checksums are numbers")
    if samples.size < RICH_SAMPLES:
        return NOTHING
    value = expected & MASK32
    if value in (google_crc32c.value(bytes(pcm)), zlib.crc32(pcm)) and samples.any():
        return Diagnosis("checksum is a CRC, but checksumAlgorithm does not say so")
    octets = samples.view(np.uint8)
    # In quiet audio half of the bytes are 0, and then a shift by a byte gives this sum too.
    if np.count_nonzero(octets) * 8 > octets.size * 5 and value == int(octets.sum(dtype=np.int64)):
        return Diagnosis("checksum taken over bytes, not samples")
    return Diagnosis(likely=_likely_of_sum(samples, value))


def _likely_of_sum(samples: Samples, value: int) -> str:
    if np.count_nonzero(samples) <= samples.size // 2:
        return ""  # damaged silence: small sums come about in many ways
    # A shift by one byte gives the same sum, so that this is not certain.
    if value == int(samples.byteswap().sum(dtype=np.int64)) & MASK32:
        return "byte-swapped samples (big-endian)"
    if value == 0:
        return "checksum is 0 but the audio is not silent (taken over floats, or never computed)"
    total = int(samples.sum(dtype=np.int64))
    if value in {int(total / scale) & MASK32 for scale in (32_768.0, 32_767.0)}:
        return "checksum taken over floats, not int16 samples"
    return ""


# -- digests: a match is a proof ------------------------------------------------------------------


def _wrong_length_of_digest(
    algorithm: Algorithm,
    metadata: Metadata,
    pcm: Pcm,
    declared: int,
    expected: int | str,
    key: bytes,
) -> Diagnosis:
    length = len(pcm) // BYTES_PER_SAMPLE

    def proves(part: Pcm, data_length: int) -> bool:
        claimed = msgspec.structs.replace(metadata, data_length=data_length)
        return same_checksum(algorithm, expected, digest(algorithm, claimed, part, key))

    if proves(pcm, declared):
        if declared == length * BYTES_PER_SAMPLE:
            return Diagnosis("dataLength counts bytes, not samples")
        return Diagnosis("dataLength is wrong, the audio is whole")
    if proves(pcm, length):
        return Diagnosis("dataLength was changed after the checksum was taken, the audio is whole")
    size = declared * BYTES_PER_SAMPLE
    extra = length - declared
    if extra > 0 and declared:
        if proves(pcm[:size], declared):
            return Diagnosis(f"{extra} extra samples at the end")
        if proves(pcm[-size:], declared):
            return Diagnosis(f"{extra} extra samples at the start")
    return Diagnosis(likely=_by_length(-extra))


def _wrong_digest(
    algorithm: Algorithm, metadata: Metadata, pcm: Pcm, expected: int | str, key: bytes
) -> Diagnosis:
    if isinstance(expected, str) and isinstance(digest(algorithm, metadata, pcm, key), int):
        return Diagnosis(f"checksum is text, but {algorithm} checksums are numbers")

    def proves(claimed: Metadata, part: Pcm) -> bool:
        return same_checksum(algorithm, expected, digest(algorithm, claimed, part, key))

    if proves(metadata, swapped(np.frombuffer(pcm, INT16))):
        return Diagnosis("byte-swapped samples (big-endian)")
    if _of_samples_alone(algorithm, pcm, expected, key):
        return Diagnosis("checksum covers the samples alone; the protected metadata goes before")
    if proves(msgspec.structs.replace(metadata, timestamp=None), pcm):
        return Diagnosis("checksum does not cover the timestamp that was sent")
    return NOTHING


def _of_samples_alone(algorithm: Algorithm, pcm: Pcm, expected: int | str, key: bytes) -> bool:
    """Whether a client left out the protected metadata."""
    return same_checksum(algorithm, expected, digest_of(algorithm, b"", pcm, key))
