from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from typing import Final

import google_crc32c
import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from common.integrity import (
    MASK32,
    Algorithm,
    additive_checksum,
    digest,
    protected_metadata,
    same_checksum,
)
from common.wire import Metadata

KEY: Final = b"a key"
samples = st.lists(st.integers(-(2**15), 2**15 - 1), max_size=300)
strong = [each for each in Algorithm if each is not Algorithm.ADDITIVE]


def pcm_of(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


def metadata_of(pcm: bytes, **fields: object) -> Metadata:
    return Metadata(sample_rate=16000.0, data_length=len(pcm) // 2, **fields)  # type: ignore[arg-type]


# -- checksums ------------------------------------------------------------------------------------


def test_no_two_algorithms_are_the_same() -> None:
    pcm = pcm_of(list(range(300)))
    assert len({digest(each, metadata_of(pcm), pcm, KEY) for each in Algorithm}) == len(Algorithm)


@given(samples)
def test_additive_is_the_sum_of_the_samples_modulo_2_to_32(values: list[int]) -> None:
    assert additive_checksum(pcm_of(values)) == sum(values) & MASK32


def test_additive_wraps_where_the_documents_64_bit_sum_does() -> None:
    for value in (-(2**15), 2**15 - 1):
        pcm = np.full(200_000, value, "<i2").tobytes()
        assert additive_checksum(pcm) == (200_000 * value) & MASK32


def test_additive_of_nothing_and_of_silence_is_0() -> None:
    assert additive_checksum(b"") == 0
    assert additive_checksum(bytes(8192)) == 0


def test_additive_ignores_half_a_sample() -> None:
    assert additive_checksum(pcm_of([1, 2]) + b"\x7f") == 3


def test_additive_takes_an_unaligned_view() -> None:
    assert additive_checksum(memoryview(b"x" + pcm_of([5, -7]))[1:]) == -2 & MASK32


@given(samples.filter(bool), st.data())
def test_additive_detects_any_change_of_one_sample(values: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(values) - 1))
    other = data.draw(st.integers(-(2**15), 2**15 - 1).filter(lambda v: v != values[at]))
    changed = [*values[:at], other, *values[at + 1 :]]
    assert additive_checksum(pcm_of(changed)) != additive_checksum(pcm_of(values))


@pytest.mark.parametrize("algorithm", strong)
@given(values=samples.filter(lambda v: len(set(v)) > 1), data=st.data())
def test_strong_digests_detect_two_samples_exchanged(
    algorithm: Algorithm, values: list[int], data: st.DataObject
) -> None:
    a = data.draw(st.integers(0, len(values) - 1))
    b = data.draw(st.sampled_from([i for i, v in enumerate(values) if v != values[a]]))
    exchanged = list(values)
    exchanged[a], exchanged[b] = exchanged[b], exchanged[a]
    metadata = metadata_of(pcm_of(values))
    before = digest(algorithm, metadata, pcm_of(values), KEY)
    assert digest(algorithm, metadata, pcm_of(exchanged), KEY) != before


@pytest.mark.parametrize("algorithm", strong)
def test_strong_digests_cover_the_protected_metadata(algorithm: Algorithm) -> None:
    pcm = pcm_of([1, 2, 3])
    variants = [
        Metadata(sample_rate=16000.0, data_length=3, audio_sequence=7, timestamp=1),
        Metadata(sample_rate=8000.0, data_length=3, audio_sequence=7, timestamp=1),
        Metadata(sample_rate=16000.0, data_length=4, audio_sequence=7, timestamp=1),
        Metadata(sample_rate=16000.0, data_length=3, audio_sequence=8, timestamp=1),
        Metadata(sample_rate=16000.0, data_length=3, audio_sequence=7, timestamp=2),
        Metadata(sample_rate=16000.0, data_length=3, timestamp=7),
        Metadata(sample_rate=16000.0, data_length=3, audio_sequence=7),
    ]
    assert len({digest(algorithm, metadata, pcm, KEY) for metadata in variants}) == len(variants)


def test_digests_are_those_of_the_libraries_over_metadata_then_samples() -> None:
    pcm = pcm_of([1, -2, 3])
    metadata = metadata_of(pcm, audio_sequence=5)
    covered = b"16000\n3\n5\n\n" + pcm
    assert digest(Algorithm.CRC32C, metadata, pcm) == google_crc32c.value(covered)
    assert digest(Algorithm.XXH3_64, metadata, pcm) == xxhash.xxh3_64_hexdigest(covered)
    by_hand = hmac.new(KEY, covered, hashlib.sha256).hexdigest()
    assert digest(Algorithm.HMAC_SHA256, metadata, pcm, KEY) == by_hand


def test_protected_metadata_is_one_line_a_field_empty_where_absent() -> None:
    assert protected_metadata(Metadata()) == b"\n\n\n\n"
    full = Metadata(sample_rate=48000.0, data_length=1, audio_sequence=0, timestamp=1640995200000.0)
    assert protected_metadata(full) == b"48000\n1\n0\n1640995200000\n"


def test_a_keyed_digest_depends_on_the_key() -> None:
    metadata = Metadata()
    one, other = (digest(Algorithm.HMAC_SHA256, metadata, b"ab", key) for key in (b"1", b"2"))
    assert one != other


# -- comparison -----------------------------------------------------------------------------------


@given(st.integers(0, MASK32))
def test_a_javascript_signed_checksum_is_the_same(value: int) -> None:
    signed = value - 2**32 if value >= 2**31 else value
    for algorithm in (Algorithm.ADDITIVE, Algorithm.CRC32C):
        assert same_checksum(algorithm, signed, value)
        assert same_checksum(algorithm, value, value)
        assert not same_checksum(algorithm, value ^ 1, value)


def test_text_for_a_number_is_not_the_same() -> None:
    assert not same_checksum(Algorithm.ADDITIVE, "5", 5)


def test_hexadecimal_digests_compare_without_regard_to_case_or_leading_zeros() -> None:
    assert same_checksum(Algorithm.XXH3_64, "00ABCDEF", "00abcdef")
    assert same_checksum(Algorithm.XXH3_64, "abcdef", "00abcdef")
    assert same_checksum(Algorithm.XXH3_64, 0xABCDEF, "00abcdef")
    assert not same_checksum(Algorithm.XXH3_64, "", "00abcdef")
    assert not same_checksum(Algorithm.XXH3_64, "äbcdef", "00abcdef")
    assert not same_checksum(Algorithm.XXH3_64, -1, "00abcdef")


def test_crc32c_is_not_zlibs_crc32() -> None:
    assert digest(Algorithm.CRC32C, Metadata(), b"ab") != zlib.crc32(b"\n\n\n\nab")
