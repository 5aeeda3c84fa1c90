"""The policy on corrupt frames, as settings make it."""

from __future__ import annotations

import msgspec
import pytest

from common.envelope import Code, OnCorruption, Policy, Verdict
from common.settings import GatewaySettings
from gateway.rejection import FailureCount, RejectionPolicy, StaleFrames, mismatch_message


def policy(**settings: object) -> RejectionPolicy:
    return RejectionPolicy.of(GatewaySettings(**settings))  # type: ignore[arg-type]


def test_logging_forwards_and_rejecting_puts_silence() -> None:
    assert policy(verify_data_integrity=True).on_corruption is OnCorruption.FORWARD
    assert policy(reject_corrupted_data=True).on_corruption is OnCorruption.SILENCE


def test_rejecting_implies_verifying() -> None:
    assert policy(reject_corrupted_data=True).verify


@pytest.mark.parametrize(
    "chosen, bits",
    [
        ("forward", Policy.VERIFY | Policy.FORWARD_CORRUPT),
        ("silence", Policy.VERIFY | Policy.SILENCE_CORRUPT),
        ("drop", Policy.VERIFY),
    ],
)
def test_override_reaches_the_verifiers(chosen: str, bits: Policy) -> None:
    assert policy(reject_corrupted_data=True, on_corruption=chosen).bits == bits


def test_recorder_has_no_limit_without_rejection() -> None:
    assert policy(verify_data_integrity=True, corruption_threshold=3).limit == -1
    assert policy(reject_corrupted_data=True, corruption_threshold=3).limit == 3


def test_count_rejects_one_past_the_tolerated() -> None:
    count = FailureCount(policy(reject_corrupted_data=True, corruption_threshold=2))
    assert [count.add() for _ in range(3)] == [False, False, True]


def verdict(**fields: object) -> Verdict:
    base = Verdict(b"s" * 16, 0, Code.CORRUPT, 4096, 4096, 12345678, 87654321)
    return msgspec.structs.replace(base, **fields)


def test_message_names_what_differs() -> None:
    assert mismatch_message(verdict()) == "Checksum mismatch: expected 12345678, got 87654321"
    assert mismatch_message(verdict(actual_length=4090, actual_checksum=12345678)) == (
        "Length mismatch: expected 4096, got 4090"
    )
    assert mismatch_message(verdict(actual_length=4090)) == (
        "Length mismatch: expected 4096, got 4090; "
        "Checksum mismatch: expected 12345678, got 87654321"
    )
    assert mismatch_message(verdict(actual_length=4090, actual_checksum=None)) == (
        "Length mismatch: expected 4096, got 4090"
    )
    same = verdict(actual_length=9, expected_checksum="ABC", actual_checksum="0abc")
    assert mismatch_message(same) == "Length mismatch: expected 4096, got 9"
    assert mismatch_message(verdict(malformed="not_json", diagnosis="no JSON")) == (
        "Malformed frame: no JSON"
    )
    assert mismatch_message(verdict(expected_checksum=-1708)) == (
        "Checksum mismatch: expected 4294965588, got 87654321"
    )
    assert mismatch_message(verdict(expected_checksum="1\x1b[2K\n")) == (
        r"Checksum mismatch: expected 1\x1b[2K\n, got 87654321"
    )


def test_a_repeated_buffer_is_known_by_its_samples() -> None:
    stale = StaleFrames()
    one, other = b"{}" + b"\1\0" * 4096, b"{}" + b"\0\2\2\0" * 2048
    assert stale.diagnose(verdict(), one, corrupt=False) == ""
    assert "stale" in stale.diagnose(verdict(), one, corrupt=True)
    assert stale.diagnose(verdict(), other, corrupt=True) == ""


def test_frames_of_one_sum_are_not_called_stale() -> None:
    stale = StaleFrames()
    same_sum = verdict(actual_checksum=3)
    assert stale.diagnose(same_sum, b"\3\0" + bytes(8190), corrupt=False) == ""
    assert stale.diagnose(same_sum, bytes(8190) + b"\3\0", corrupt=True) == ""


def test_silent_frames_are_never_called_stale() -> None:
    stale = StaleFrames()
    silent = verdict(actual_checksum=0, expected_checksum=1)
    assert stale.diagnose(silent, bytes(8192), corrupt=True) == ""
    assert stale.diagnose(silent, bytes(8192), corrupt=True) == ""


def test_silence_damaged_twice_in_one_place_is_not_called_stale() -> None:
    stale = StaleFrames()
    flipped = b"\1\0" + bytes(8190)
    assert stale.diagnose(verdict(), bytes(8192), corrupt=False) == ""
    assert stale.diagnose(verdict(), flipped, corrupt=True) == ""
    assert stale.diagnose(verdict(), flipped, corrupt=True) == ""
