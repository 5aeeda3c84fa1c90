"""What a recorder hears of a frame, and what else a gateway may ask for, whatever the bytes."""

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import (
    Audio,
    Code,
    OnCorruption,
    Policy,
)
from common.integrity import Algorithm
from tests.unit.verifier.checked import (
    CHECKSUM,
    KEYS,
    OFF,
    PCM,
    POLICY,
    REPORT_ONLY,
    SESSION,
    assert_whole,
    fields,
    frames,
    header,
    heard,
    message,
    names,
    passed_on,
    policies,
    signed,
    verdict_on,
)
from verifier.check import check


def test_forwarded_it_is_marked_corrupt_and_whole() -> None:
    outcome = heard(OnCorruption.FORWARD)
    assert passed_on(outcome) == Audio(SESSION, 7, 16_000, True, 0, 123)
    assert outcome.pcm == PCM


def test_forwarded_it_loses_its_half_sample() -> None:
    assert heard(OnCorruption.FORWARD, PCM + b"x").pcm == PCM


def test_silenced_it_is_a_hole_as_long_as_what_arrived() -> None:
    assert passed_on(heard(OnCorruption.SILENCE)).hole_samples == 100
    outcome = heard(OnCorruption.SILENCE, PCM[:31])
    assert passed_on(outcome) == Audio(SESSION, 7, 16_000, True, 15, 123)
    assert outcome.pcm.nbytes == 0


def test_dropped_it_is_a_hole_of_no_samples() -> None:
    outcome = heard(OnCorruption.DROP)
    assert passed_on(outcome) == Audio(SESSION, 7, 16_000, True, 0, 123)
    assert outcome.pcm.nbytes == 0


@given(st.binary(max_size=120), policies)
def test_arbitrary_bytes_yield_a_whole_outcome(raw: bytes, policy: int) -> None:
    assert_whole(check(header(policy), raw, KEYS), raw)


@given(fields, names, st.binary(max_size=9), policies)
def test_arbitrary_metadata_yields_a_whole_outcome(
    given_fields: dict[str, Any], name: str | None, pcm: bytes, policy: int
) -> None:
    raw = message(pcm, **given_fields, checksumAlgorithm=name)
    assert_whole(check(header(policy), raw, KEYS), raw)


@given(frames, st.sampled_from(list(Algorithm)), st.data())
def test_one_changed_sample_is_always_detected(
    values: list[int], algorithm: Algorithm, data: st.DataObject
) -> None:
    pcm = np.array(values, "<i2")
    raw = signed(algorithm, pcm.tobytes())
    assert verdict_on(raw).code == Code.OK
    at = data.draw(st.integers(0, len(values) - 1))
    pcm[at] = data.draw(st.integers(-(2**15), 2**15 - 1).filter(lambda v: v != values[at]))
    changed = raw[: len(raw) - pcm.nbytes] + pcm.tobytes()
    assert verdict_on(changed).code == Code.CORRUPT


@given(frames, st.data())
def test_any_truncation_of_the_audio_is_detected(values: list[int], data: st.DataObject) -> None:
    raw = signed(Algorithm.ADDITIVE, np.array(values, "<i2").tobytes())
    cut = data.draw(st.integers(1, 2 * len(values)))
    assert verdict_on(raw[:-cut]).code == Code.CORRUPT


@given(frames, st.sampled_from([POLICY[OnCorruption.FORWARD], OFF]))
def test_good_audio_is_passed_on_byte_for_byte(values: list[int], policy: Policy) -> None:
    pcm = np.array(values, "<i2").tobytes()
    assert check(header(policy), signed(Algorithm.ADDITIVE, pcm)).pcm == pcm


@pytest.mark.parametrize("policy", [REPORT_ONLY, REPORT_ONLY | Policy.FORWARD_CORRUPT])
@pytest.mark.parametrize(
    "raw", [b"abc", message(checksum=CHECKSUM + 1), message(PCM[:-1], checksum=CHECKSUM)]
)
def test_a_corrupt_frame_that_can_be_sent_again_is_only_reported(raw: bytes, policy: int) -> None:
    outcome = check(msgspec.structs.replace(header(policy), attempt=2), raw)
    assert outcome.verdict.code == Code.CORRUPT
    assert outcome.verdict.attempt == 2
    assert outcome.audio is None


def test_good_frames_are_passed_on_whether_or_not_they_could_be_sent_again() -> None:
    outcome = check(header(REPORT_ONLY), message(checksum=CHECKSUM))
    assert outcome.verdict.code == Code.OK
    assert passed_on(outcome) == Audio(SESSION, 7, 16_000, False, 0, 123)
    assert outcome.pcm == PCM


def test_who_can_resend_promised_checksums_so_that_one_that_is_missing_was_destroyed() -> None:
    assert verdict_on(message(), REPORT_ONLY).code == Code.CORRUPT
    assert verdict_on(message(server_sent_to_stt=False), REPORT_ONLY).code == Code.UNVERIFIED
    assert verdict_on(message(), Policy.REPORT_CORRUPT).code == Code.UNVERIFIED, "checks are off"


@pytest.mark.parametrize(
    "raw, samples",
    [
        (message(checksum=CHECKSUM), PCM),
        (message(checksum=CHECKSUM + 1), PCM),
        (message(PCM + b"x", checksum=CHECKSUM), PCM),
        (b"abc", b""),
    ],
    ids=["ok", "corrupt", "odd", "unreadable"],
)
def test_the_samples_digest_is_taken_only_for_sessions_with_a_receipt(
    raw: bytes, samples: bytes
) -> None:
    verdict = verdict_on(raw, POLICY[OnCorruption.SILENCE] | Policy.DIGEST)
    assert verdict.pcm_sha256 == hashlib.sha256(samples).digest()
    assert verdict_on(raw).pcm_sha256 == b""


def test_of_a_frame_that_never_came_nothing_is_said_and_nothing_is_heard() -> None:
    outcome = check(header(Policy.VERIFY | Policy.MISSING), b"")
    assert outcome.verdict.code == Code.UNVERIFIED
    assert passed_on(outcome) == Audio(SESSION, 7, 0, False, 0, 123)
    assert outcome.pcm.nbytes == 0
