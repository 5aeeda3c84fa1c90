from __future__ import annotations

from common.errors import (
    CloseCode,
    CommandError,
    EnvelopeError,
    MalformedFrameError,
    MalformedReason,
    SettingsError,
    SttError,
)


def test_a_malformed_frame_carries_its_reason_and_a_sentence() -> None:
    error = MalformedFrameError(MalformedReason.TOO_SHORT, "3 bytes")
    assert (error.reason, error.message, str(error)) == ("too_short", "3 bytes", "3 bytes")


def test_all_errors_can_be_caught_as_one() -> None:
    for kind in (MalformedFrameError, EnvelopeError, SettingsError, CommandError):
        assert issubclass(kind, SttError)


def test_close_codes_may_be_sent_by_a_server() -> None:
    assert CloseCode(1008) is CloseCode.POLICY_VIOLATION
    assert CloseCode(1013) is CloseCode.TRY_AGAIN_LATER
    assert not {1004, 1005, 1006, 1015} & set(CloseCode)
