"""gateway.demands: which frames a key may send."""

from __future__ import annotations

import pytest

from common.api_keys import ApiKey
from common.integrity import Algorithm
from common.wire import Metadata, build_message
from gateway.demands import objection

FREE = ApiKey("free", bytes(32))
VERIFIED = ApiKey("alice", bytes(32), verified=True)
STRONG = ApiKey("bob", bytes(32), algorithms=frozenset({Algorithm.CRC32C}))


def frame(**fields: object) -> bytes:
    return build_message(Metadata(sample_rate=16_000, **fields), b"\0\0")  # type: ignore[arg-type]


ADDITIVE = frame(checksum=0)
CRC = frame(checksum=1, checksum_algorithm="crc32c")
NONE = frame()
UNASKED = frame(checksum=0, server_sent_to_stt=False)


@pytest.mark.parametrize("message", [ADDITIVE, CRC, NONE, UNASKED, b"nothing"])
def test_a_key_without_demands_may_send_all(message: bytes) -> None:
    assert objection(FREE, message) == ""


@pytest.mark.parametrize("message", [NONE, UNASKED])
def test_a_key_for_verified_audio_sends_no_frame_that_is_not_verified(message: bytes) -> None:
    assert "no checksum" in objection(VERIFIED, message)
    assert "no checksum" in objection(STRONG, message)


def test_it_sends_what_is() -> None:
    assert objection(VERIFIED, ADDITIVE) == objection(VERIFIED, CRC) == objection(STRONG, CRC) == ""
    assert "crc32c" in objection(STRONG, ADDITIVE)


def test_what_cannot_be_read_is_left_to_the_verifiers() -> None:
    assert objection(STRONG, b"nothing") == ""
