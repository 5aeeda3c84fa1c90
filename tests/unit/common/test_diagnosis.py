"""A diagnosis never contradicts what was done to the frame."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import google_crc32c
import numpy as np
import pytest
import soundfile
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.diagnosis import INT16, NOTHING, Diagnosis, Samples, diagnose, swapped
from common.integrity import Algorithm, digest, digest_of, same_checksum
from common.wire import Metadata

KEY: Final = b"a key"
SPEECH_FILES: Final = sorted((Path(__file__).parents[2] / "speech").glob("*.wav"))
STRONG: Final = [Algorithm.CRC32C, Algorithm.XXH3_64, Algorithm.HMAC_SHA256]


class Sent(NamedTuple):
    """A frame on its way: what its metadata claims, and its samples as bytes."""

    length: int
    checksum: int | str
    pcm: bytes


def sent(samples: Samples, algorithm: Algorithm = Algorithm.ADDITIVE) -> Sent:
    pcm = samples.astype(INT16).tobytes()
    return Sent(samples.size, digest(algorithm, metadata(samples.size), pcm, KEY), pcm)


def metadata(length: int) -> Metadata:
    return Metadata(sample_rate=16_000.0, data_length=length, timestamp=1_640_995_200_000)


def told(frame: Sent, algorithm: Algorithm = Algorithm.ADDITIVE) -> Diagnosis:
    """What is said of a frame; of one that is found good, nothing."""
    claimed = metadata(frame.length)
    actual = digest(algorithm, claimed, frame.pcm, KEY)
    same_length = frame.length * 2 == len(frame.pcm)
    if same_length and same_checksum(algorithm, frame.checksum, actual):
        return NOTHING
    return diagnose(
        algorithm,
        claimed,
        frame.pcm,
        expected_length=frame.length,
        expected=frame.checksum,
        key=KEY,
    )


# -- audio ----------------------------------------------------------------------------------------


@functools.cache
def speech(path: Path) -> Samples:
    return np.asarray(soundfile.read(path, dtype="int16")[0])


def audio(kind: str, size: int, random: np.random.Generator) -> Samples:
    match kind:
        case "silence":
            return np.zeros(size, INT16)
        case "near-silence":
            return random.integers(-1, 2, size).astype(INT16)
        case "one click":
            samples = np.zeros(size, INT16)
            samples[random.integers(size)] = random.choice([1, -1, 256, 32_767])
            return samples
        case "hum":  # no sample is negative, and none has a high byte
            return random.integers(0, 256, size).astype(INT16)
        case "noise":
            return random.integers(-32_768, 32_768, size).astype(INT16)
        case _:
            whole = speech(SPEECH_FILES[random.integers(len(SPEECH_FILES))])
            start = random.integers(whole.size - size)
            return whole[start : start + size]


KINDS: Final = ["silence", "near-silence", "one click", "hum", "speech", "noise"]

# -- faults ---------------------------------------------------------------------------------------


def flip_bits(frame: Sent, random: np.random.Generator) -> Sent:
    pcm = bytearray(frame.pcm)
    for _ in range(random.choice([1, 1, 2, 16])):
        pcm[random.integers(len(pcm))] ^= 1 << random.integers(8)
    return frame._replace(pcm=bytes(pcm))


def cut_end(frame: Sent, random: np.random.Generator) -> Sent:
    samples = random.integers(1, len(frame.pcm) // 2 + 1)
    return frame._replace(pcm=frame.pcm[: -2 * samples])


def cut_half(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=frame.pcm[: len(frame.pcm) // 4 * 2])


def cut_middle(frame: Sent, random: np.random.Generator) -> Sent:
    start = 2 * random.integers(len(frame.pcm) // 4 + 1)
    return frame._replace(pcm=frame.pcm[:start] + frame.pcm[start + 20 :])


def append(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=frame.pcm + bytes(2 * random.integers(1, 50)))


def prepend(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=random.bytes(2 * int(random.integers(1, 50))) + frame.pcm)


def lose_a_byte(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=frame.pcm[:-1])


def shift_by_a_byte(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=frame.pcm[-1:] + frame.pcm[:-1])


def swap_bytes(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=swapped(np.frombuffer(frame.pcm, INT16)))


def replace_all(frame: Sent, random: np.random.Generator) -> Sent:
    kind = KINDS[random.integers(len(KINDS))]
    return frame._replace(pcm=audio(kind, len(frame.pcm) // 2, random).astype(INT16).tobytes())


def reorder(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(pcm=bytes(random.permutation(np.frombuffer(frame.pcm, np.uint8))))


def wrong_length(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(length=frame.length + int(random.choice([-30, -1, 1, 30])))


def double_length(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(length=frame.length * 2)


def wrong_checksum(frame: Sent, random: np.random.Generator) -> Sent:
    if isinstance(frame.checksum, str):
        return frame._replace(checksum=f"{random.integers(2**63):016x}")
    return frame._replace(checksum=int(random.choice([0, 1, int(random.integers(2**32))])))


def sum_of_bytes(frame: Sent, random: np.random.Generator) -> Sent:
    return frame._replace(checksum=sum(frame.pcm))


def sum_of_floats(frame: Sent, random: np.random.Generator) -> Sent:
    total = int(np.frombuffer(frame.pcm, INT16).sum(dtype=np.int64))
    return frame._replace(checksum=int(total / 32_768))


FAULTS: Final[list[Callable[[Sent, np.random.Generator], Sent]]] = [
    flip_bits, cut_end, cut_half, cut_middle, append, prepend, lose_a_byte, shift_by_a_byte,
    swap_bytes, replace_all, reorder, wrong_length, double_length, wrong_checksum, sum_of_bytes,
    sum_of_floats,
]  # fmt: skip


def contradicts(claim: str, before: Sent, after: Sent) -> bool:
    """Whether a claim on ``after`` is untrue, given the frame as it was before the faults."""
    whole = after.pcm == before.pcm
    extra = len(after.pcm) // 2 - after.length
    match claim:
        case "":
            return False
        case "odd number of PCM bytes: the samples are not whole":
            return len(after.pcm) % 2 == 0
        case "byte-swapped samples (big-endian)":
            return after.pcm != swapped(np.frombuffer(before.pcm, INT16))
        case "checksum taken over bytes, not samples":
            return after.checksum != sum(after.pcm) or before.checksum == after.checksum
        case "dataLength counts bytes, not samples":
            return not whole or after.length != 2 * before.length
        case "dataLength was changed after the checksum was taken, the audio is whole":
            return not whole or after.length == before.length
        case _ if claim.endswith("extra samples at the end"):
            return after.pcm[: -2 * extra] != before.pcm
        case _ if claim.endswith("extra samples at the start"):
            return after.pcm[2 * extra :] != before.pcm
    return True  # a claim that no fault here could justify


@settings(max_examples=1_500, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    size=st.sampled_from([1, 2, 63, 256, 1024, 4096]),
    faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=2),
    algorithm=st.sampled_from([Algorithm.ADDITIVE, Algorithm.ADDITIVE, *STRONG]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_certain_is_what_was_done(
    kind: str, size: int, faults: list[Any], algorithm: Algorithm, seed: int
) -> None:
    random = np.random.default_rng(seed)
    before = sent(audio(kind, size, random), algorithm)
    after = before
    for fault in faults:
        if isinstance(before.checksum, str):
            assume(fault not in (sum_of_bytes, sum_of_floats))
        if len(after.pcm) > 1 and len(after.pcm) % 2 == 0:
            after = fault(after, random)
    said = told(after, algorithm)
    assert not contradicts(said.certain, before, after), (said, faults)
    assert not (said.certain and said.likely)


# -- what was met ---------------------------------------------------------------------------------

LOUD: Final = audio("speech", 4096, np.random.default_rng(7))


def test_a_bit_flip_in_a_silent_frame_is_not_called_a_checksum_over_floats() -> None:
    for size in (100, 4096):
        frame = sent(np.zeros(size, INT16))
        damaged = frame._replace(pcm=b"\x40" + frame.pcm[1:])
        assert told(damaged) == NOTHING


def test_a_wrong_length_of_whole_audio_is_not_called_truncated() -> None:
    longer = sent(LOUD)._replace(length=LOUD.size + 6)
    assert told(longer) == Diagnosis(likely="dataLength is wrong, the audio is whole")
    for algorithm in STRONG:
        frame = sent(LOUD, algorithm)._replace(length=LOUD.size + 6)
        assert told(frame, algorithm).certain == (
            "dataLength was changed after the checksum was taken, the audio is whole"
        )


def test_silence_may_have_been_cut_and_nothing_is_said() -> None:
    assert told(sent(np.zeros(100, INT16))._replace(length=120)) == NOTHING


# -- what is found --------------------------------------------------------------------------------


def test_a_truncation_is_likely_for_the_length_may_be_wrong_too() -> None:
    frame = sent(LOUD)
    assert told(frame._replace(pcm=frame.pcm[:-12])).likely == "truncated by 6 samples"
    assert told(frame._replace(pcm=frame.pcm + b"\1\1" * 10)).likely == "10 extra samples"
    assert told(frame._replace(pcm=frame.pcm + bytes(20))).likely == "10 extra samples"
    assert told(frame._replace(pcm=b"")).likely == "truncated by 4096 samples"


def test_a_length_that_does_not_account_for_the_checksum_says_nothing() -> None:
    frame = sent(LOUD)._replace(checksum=2**31)
    assert told(frame._replace(pcm=frame.pcm[:-12])) == NOTHING


def test_a_length_alone_is_likely() -> None:
    claimed = Metadata(sample_rate=16_000.0, data_length=10)
    said = diagnose(Algorithm.ADDITIVE, claimed, bytes(8), expected_length=10, expected=None)
    assert said == Diagnosis(likely="truncated by 6 samples")


def test_half_a_sample_is_named_before_anything_else() -> None:
    frame = sent(LOUD)
    assert "odd number of PCM bytes" in told(frame._replace(pcm=frame.pcm + b"x", length=9)).certain


@pytest.mark.parametrize("algorithm", STRONG)
def test_a_digest_proves_what_a_sum_cannot(algorithm: Algorithm) -> None:
    frame = sent(LOUD, algorithm)

    def said(**changes: Any) -> str:
        return told(frame._replace(**changes), algorithm).certain

    assert said(pcm=swapped(LOUD)) == "byte-swapped samples (big-endian)"
    assert said(pcm=frame.pcm + bytes(20)) == "10 extra samples at the end"
    assert said(pcm=bytes(20) + frame.pcm) == "10 extra samples at the start"
    assert said(checksum=digest_of(algorithm, b"", frame.pcm, KEY)) == (
        "checksum covers the samples alone; the protected metadata goes before"
    )
    unstamped = Metadata(sample_rate=16_000.0, data_length=LOUD.size)
    assert said(checksum=digest(algorithm, unstamped, frame.pcm, KEY)) == (
        "checksum does not cover the timestamp that was sent"
    )
    doubled = digest(algorithm, metadata(2 * LOUD.size), frame.pcm, KEY)
    assert said(length=2 * LOUD.size, checksum=doubled) == "dataLength counts bytes, not samples"
    other = digest(algorithm, metadata(9), frame.pcm, KEY)
    assert said(length=9, checksum=other) == "dataLength is wrong, the audio is whole"
    truncated = frame._replace(pcm=frame.pcm[:-12])
    assert told(truncated, algorithm) == Diagnosis(likely="truncated by 6 samples")


def test_a_sum_over_bytes_is_recognised_in_audio_that_is_not_quiet() -> None:
    frame = sent(LOUD)
    assert told(frame._replace(checksum=sum(frame.pcm))).certain == (
        "checksum taken over bytes, not samples"
    )


@pytest.mark.parametrize("crc", [google_crc32c.value, zlib.crc32])
def test_a_crc_without_its_name_is_recognised(crc: Callable[[bytes], int]) -> None:
    frame = sent(LOUD)
    assert told(frame._replace(checksum=crc(frame.pcm))).certain == (
        "checksum is a CRC, but checksumAlgorithm does not say so"
    )


def test_text_for_a_number_is_recognised() -> None:
    frame = sent(LOUD)._replace(checksum="123")
    assert "checksum is text, but additive" in told(frame).certain
    crc = sent(LOUD, Algorithm.CRC32C)._replace(checksum="123")
    assert "checksum is text, but crc32c" in told(crc, Algorithm.CRC32C).certain


def test_sums_that_fit_are_likely() -> None:
    frame = sent(LOUD)
    assert told(frame._replace(pcm=swapped(LOUD))).likely == "byte-swapped samples (big-endian)"
    assert "checksum is 0 but" in told(frame._replace(checksum=0)).likely
    loud = np.full(4096, 1000, INT16)
    floats = int((loud / 32_768).sum())
    assert "over floats" in told(sent(loud)._replace(checksum=floats)).likely


def test_nothing_is_said_of_what_fits_nothing() -> None:
    frame = sent(LOUD)
    assert told(frame._replace(checksum=123_456)) == NOTHING
    assert told(sent(LOUD, Algorithm.XXH3_64)._replace(checksum="00"), Algorithm.XXH3_64) == NOTHING
    assert diagnose(Algorithm.ADDITIVE, Metadata(), b"", expected_length=0, expected=5) == NOTHING


@given(
    st.sampled_from(list(Algorithm)),
    st.binary(max_size=64),
    st.none() | st.integers(0, 2**63 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=128),
)
def test_a_diagnosis_survives_anything(
    algorithm: Algorithm, pcm: bytes, length: int | None, expected: int | str | None
) -> None:
    said = diagnose(algorithm, Metadata(), pcm, expected_length=length, expected=expected, key=KEY)
    assert isinstance(said.certain + said.likely, str)
