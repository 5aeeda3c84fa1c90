"""What makes a frame good, unverified or corrupt."""

import re
import struct
from typing import Any

import pytest

from common.envelope import (
    Audio,
    Code,
    OnCorruption,
    Policy,
    Verdict,
)
from common.hmac_keys import NO_KEYS
from common.integrity import Algorithm
from common.wire import Mark, parse_message
from tests.unit.verifier.checked import (
    CHECKSUM,
    KEYS,
    OFF,
    PCM,
    POLICY,
    SESSION,
    header,
    message,
    of_key,
    passed_on,
    signed,
    verdict_on,
)
from verifier.check import check

# -- good frames ----------------------------------------------------------------------------------


def test_length_and_checksum_that_agree_are_ok() -> None:
    outcome = check(header(), message(dataLength=100, checksum=CHECKSUM, audioSequence=5))
    assert outcome.verdict == Verdict(
        session=SESSION,
        seq=7,
        code=Code.OK,
        expected_length=100,
        actual_length=100,
        expected_checksum=CHECKSUM,
        actual_checksum=CHECKSUM,
        sample_rate_hz=16_000,
        audio_sequence=5,
        asks_verification=True,
        algorithm="additive",
    )
    assert passed_on(outcome) == Audio(SESSION, 7, 16_000, False, 0, 123)
    assert outcome.pcm == PCM


def test_the_audio_is_a_view_into_the_message() -> None:
    raw = message(dataLength=100, checksum=CHECKSUM)
    assert check(header(), raw).pcm.obj is raw


@pytest.mark.parametrize("mark", list(Mark))
def test_a_mark_goes_on_to_the_recorder_whether_or_not_the_frame_is_good(mark: Mark) -> None:
    for checksum in (CHECKSUM, CHECKSUM + 1):
        raw = message(checksum=checksum, utterance=str(mark), utteranceNumber=4)
        audio = passed_on(check(header(), raw))
        assert (audio.mark, audio.mark_number) == (mark, 4)
        assert audio.corrupt == (checksum != CHECKSUM)


def test_an_unknown_mark_is_malformed() -> None:
    assert verdict_on(message(utterance="whisper")).malformed == "wrong_type"


def test_javascripts_signed_checksum_is_ok() -> None:
    signed_checksum = CHECKSUM - 2**32
    assert CHECKSUM > 2**31
    assert verdict_on(message(dataLength=100, checksum=signed_checksum)).code == Code.OK


def test_a_checksum_without_a_length_is_enough() -> None:
    verdict = verdict_on(message(checksum=CHECKSUM))
    assert verdict.code == Code.OK
    assert verdict.expected_length is None


def test_silence_with_checksum_0_is_ok() -> None:
    assert verdict_on(message(bytes(8192), dataLength=4096, checksum=0)).code == Code.OK


def test_a_frame_without_samples_is_ok() -> None:
    outcome = check(header(), message(b"", dataLength=0, checksum=0))
    assert outcome.verdict.code == Code.OK
    assert outcome.pcm.nbytes == 0


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_is_checked_by_name(algorithm: Algorithm) -> None:
    raw = signed(algorithm, audio_sequence=3, timestamp=1640995200000)
    assert verdict_on(raw).code == Code.OK
    assert verdict_on(raw[:-1] + b"\x7f").code == Code.CORRUPT


@pytest.mark.parametrize("algorithm", sorted(set(Algorithm) - {Algorithm.ADDITIVE}))
def test_strong_algorithms_notice_changed_metadata(algorithm: Algorithm) -> None:
    raw = signed(algorithm, audio_sequence=3)
    assert verdict_on(raw.replace(b'"audioSequence":3', b'"audioSequence":4')).code == Code.CORRUPT


# -- unverified frames ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, asks",
    [
        ({}, False),
        ({"server_sent_to_stt": 1764000000000000001}, False),
        ({"server_sent_to_stt": True}, False),
        ({"dataLength": 100}, True),
        ({"dataLength": 100, "checksum": 1, "server_sent_to_stt": False}, False),
        ({"dataLength": 1, "checksum": 1, "server_sent_to_stt": False}, False),
        ({"checksumAlgorithm": "md5"}, False),
    ],
)
def test_without_a_request_to_verify_a_frame_is_unverified(
    fields: dict[str, Any], asks: bool
) -> None:
    outcome = check(header(), message(**fields))
    assert outcome.verdict.code == Code.UNVERIFIED
    assert outcome.verdict.actual_checksum is None
    assert outcome.verdict.asks_verification is asks
    assert outcome.pcm == PCM
    assert not passed_on(outcome).corrupt


@pytest.mark.parametrize("flag", [True, 1, 0, 1764000000000000001, "false", None])
def test_a_checksum_asks_unless_the_flag_is_false_itself(flag: object) -> None:
    raw = message(dataLength=100, checksum=CHECKSUM + 1, server_sent_to_stt=flag)
    assert verdict_on(raw).code == Code.CORRUPT


def test_with_verification_off_a_wrong_checksum_is_not_looked_at() -> None:
    outcome = check(header(OFF), message(dataLength=1, checksum=1, checksumAlgorithm="md5"))
    assert outcome.verdict.code == Code.UNVERIFIED
    assert outcome.verdict.asks_verification
    assert outcome.verdict.expected_checksum == 1
    assert outcome.verdict.actual_checksum is None
    assert outcome.pcm == PCM


# -- corrupt frames -------------------------------------------------------------------------------


def test_a_wrong_checksum_is_corrupt_and_both_values_are_told() -> None:
    verdict = verdict_on(message(dataLength=100, checksum=12345))
    assert verdict.code == Code.CORRUPT
    assert (verdict.expected_checksum, verdict.actual_checksum) == (12345, CHECKSUM)
    assert verdict.diagnosis == ""
    assert verdict.malformed == ""


@pytest.mark.parametrize("policy", [POLICY[OnCorruption.SILENCE], OFF])
def test_a_wav_header_in_the_first_frame_is_named_and_spoils_nothing(policy: int) -> None:
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(28)
    raw = signed(Algorithm.CRC32C, head + PCM)
    first = check(header(policy, seq=0), raw, KEYS)
    later = check(header(policy, seq=1), raw, KEYS)
    assert first.verdict.code is later.verdict.code is not Code.CORRUPT
    assert first.verdict.diagnosis.startswith("the audio begins with a WAV header")
    assert later.verdict.diagnosis == ""
    assert bytes(first.pcm) == head + PCM


def test_a_wrong_length_is_corrupt_and_diagnosed() -> None:
    verdict = verdict_on(message(PCM[:-12], dataLength=100, checksum=CHECKSUM))
    assert verdict.code == Code.CORRUPT
    assert (verdict.expected_length, verdict.actual_length) == (100, 94)
    assert (verdict.diagnosis, verdict.likely) == ("", "truncated by 6 samples")


def test_a_wrong_length_without_a_checksum_is_corrupt() -> None:
    verdict = verdict_on(message(dataLength=101))
    assert verdict.code == Code.CORRUPT
    assert verdict.actual_checksum is None


def test_a_checksum_of_the_wrong_type_is_corrupt_and_says_so() -> None:
    verdict = verdict_on(message(dataLength=100, checksum=str(CHECKSUM)))
    assert verdict.code == Code.CORRUPT
    assert "checksum is text" in verdict.diagnosis


@pytest.mark.parametrize("name", ["md5", "", "Additive"])
def test_an_unknown_algorithm_is_told_apart(name: str) -> None:
    outcome = check(header(), message(checksum=1, dataLength=100, checksumAlgorithm=name))
    assert outcome.verdict.code == Code.CORRUPT
    assert outcome.verdict.malformed == "unknown_algorithm"
    assert repr(name) in outcome.verdict.diagnosis
    assert "crc32c, hmac-sha256, xxh3_64" in outcome.verdict.diagnosis
    assert passed_on(outcome).hole_samples == 100


def test_a_keyed_checksum_without_a_key_on_the_server_says_so() -> None:
    verdict = verdict_on(signed(Algorithm.HMAC_SHA256), keys=NO_KEYS)
    assert verdict.malformed == "unknown_algorithm"
    assert "no key" in verdict.diagnosis


def test_a_keyed_checksum_is_checked_with_the_api_keys_own_key() -> None:
    raw = signed(Algorithm.HMAC_SHA256)
    assert of_key("alice", raw).code == Code.OK, "made with the key that is being replaced"
    assert of_key("bob", raw).code == Code.CORRUPT
    carol = of_key("carol", raw)
    assert (carol.code, carol.malformed) == (Code.CORRUPT, "unknown_algorithm")
    assert "of carol" in carol.diagnosis
    assert of_key("", raw).code == Code.CORRUPT, "nobody's is checked with the shared key"


def test_nobody_is_told_what_a_keyed_checksum_should_have_been() -> None:
    """With the right one in its verdict, who sends a wrong one could make a frame that holds."""
    right = signed(Algorithm.HMAC_SHA256)
    value = parse_message(right).metadata.checksum
    assert isinstance(value, str)
    wrong = right.replace(value.encode(), b"0" * 64)
    for verdict in (verdict_on(wrong), of_key("alice", wrong), verdict_on(wrong[:-2])):
        assert verdict.code == Code.CORRUPT
        assert verdict.actual_checksum == "another"
        assert not re.search(r"[0-9a-f]{16}", verdict.diagnosis + verdict.likely)
    assert verdict_on(right).actual_checksum == value


@pytest.mark.parametrize("policy", [POLICY[OnCorruption.SILENCE], OFF])
def test_odd_pcm_is_corrupt_whether_or_not_verification_is_on(policy: Policy) -> None:
    verdict = verdict_on(message(PCM + b"x", dataLength=100, checksum=CHECKSUM), policy)
    assert verdict.code == Code.CORRUPT
    assert verdict.malformed == "odd_pcm"
    assert verdict.actual_length == 100
    assert "odd number" in verdict.diagnosis


@pytest.mark.parametrize("policy", [POLICY[OnCorruption.FORWARD], OFF])
@pytest.mark.parametrize(
    "raw, reason",
    [
        (b"abc", "too_short"),
        (b"\xff\xff\xff\x7f{}", "header_overrun"),
        (message(sampleRate="x"), "wrong_type"),
        (message(sampleRate=0), "absurd_sample_rate"),
        (struct.pack("<I", 2) + b"[]" + PCM, "not_an_object"),
    ],
)
def test_an_unreadable_frame_is_corrupt_and_a_hole_of_no_samples(
    raw: bytes, reason: str, policy: Policy
) -> None:
    outcome = check(header(policy), raw)
    assert outcome.verdict.code == Code.CORRUPT
    assert outcome.verdict.malformed == reason
    assert outcome.verdict.diagnosis
    assert passed_on(outcome) == Audio(SESSION, 7, 0, True, 0, 123)
    assert outcome.pcm.nbytes == 0
