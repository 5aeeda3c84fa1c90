"""The wording of the log lines on integrity."""

from __future__ import annotations

import re

import msgspec
import pytest

from common.envelope import Code, OnCorruption, Verdict
from common.wire import Metadata, build_message
from gateway.frame_counts import Judged
from gateway.healing import Mended
from gateway.integrity_log import ALL_BURST, FIRSTS_BURST, IntegrityLog, budget_of_all
from gateway.rejection import RejectionPolicy

PEER = "192.168.1.100:54321"
MESSAGE = build_message(Metadata(sample_rate=16_000, data_length=4096), bytes(8192))


def log(*, reject: bool = True, verify: bool = True, extended: bool = False) -> IntegrityLog:
    policy = RejectionPolicy(verify, reject, 2, OnCorruption.SILENCE)
    return IntegrityLog(PEER, policy, extended=extended, summary_s=10.0)


def verdict(code: Code, **fields: object) -> Verdict:
    base = Verdict(b"s" * 16, 0, code, 4096, 4096, 4294965588, 4294965588)
    return msgspec.structs.replace(base, **fields)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    text = "\n".join(record.getMessage() for record in caplog.records)
    caplog.clear()
    return [re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", line) for line in text.split("\n")]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_good_frame(caplog: pytest.LogCaptureFixture) -> None:
    log().passed(MESSAGE, verdict(Code.OK), 0.0)
    assert lines(caplog) == [
        f"Server received audio chunk of length {len(MESSAGE)} bytes, "
        'metadata: {"sampleRate":16000,"dataLength":4096}',
        "  [TIME] [OK] Data integrity verified (length: 4096, checksum: 4294965588)",
    ]


def test_good_frames_are_summarised(caplog: pytest.LogCaptureFixture) -> None:
    quiet = log()
    for tenth in range(101):
        quiet.passed(MESSAGE, verdict(Code.OK), tenth / 10)
    assert [line for line in lines(caplog) if "[OK]" in line] == [
        "  [TIME] [OK] Data integrity verified (length: 4096, checksum: 4294965588)",
        f"  [TIME] [OK] Data integrity verified for 100 more frames of {PEER} in the last 10 s",
    ]


def test_every_good_frame_with_extended_logging(caplog: pytest.LogCaptureFixture) -> None:
    loud = log(extended=True)
    for tenth in range(200):
        loud.passed(MESSAGE, verdict(Code.OK), tenth / 10)
    assert sum("[OK]" in line for line in lines(caplog)) == 200


def test_failure_within_the_threshold(caplog: pytest.LogCaptureFixture) -> None:
    corrupt = verdict(Code.CORRUPT, actual_length=4090, actual_checksum=4294965600)
    log().failed(MESSAGE, corrupt, 2, False, 0.0)
    assert lines(caplog)[1:] == [
        "  [TIME] [FAIL] Data integrity check failed!",
        "    Length: expected 4096, got 4090 (FAIL)",
        "    Checksum: expected 4294965588, got 4294965600 (FAIL)",
        "    Checksum mismatch indicates audio data corruption during transmission",
        f"    [WARNING] Client {PEER} corruption count: 2/3",
    ]


def test_rejection(caplog: pytest.LogCaptureFixture) -> None:
    log().failed(MESSAGE, verdict(Code.CORRUPT, actual_checksum=1), 3, True, 0.0)
    assert lines(caplog)[-2:] == [
        f"    [REJECT] Client {PEER} exceeded corruption threshold (3 failures)",
        f"    [DISCONNECT] Closing connection to {PEER} due to data corruption",
    ]


def test_signed_checksum_is_shown_unsigned(caplog: pytest.LogCaptureFixture) -> None:
    corrupt = verdict(Code.CORRUPT, expected_checksum=-1708, actual_checksum=5)
    log().failed(MESSAGE, corrupt, 1, False, 0.0)
    assert "    Checksum: expected 4294965588, got 5 (FAIL)" in lines(caplog)


def test_diagnosis_is_named(caplog: pytest.LogCaptureFixture) -> None:
    corrupt = verdict(Code.CORRUPT, actual_length=4090, diagnosis="truncated by 6 samples")
    log().failed(MESSAGE, corrupt, 1, False, 0.0)
    assert "    Diagnosis: truncated by 6 samples" in lines(caplog)
    likely = verdict(Code.CORRUPT, actual_length=4090, likely="truncated by 6 samples")
    log().failed(MESSAGE, likely, 1, False, 0.0)
    assert "    Likely: truncated by 6 samples" in lines(caplog)


def test_who_connects_again_and_again_gets_no_new_budget(caplog: pytest.LogCaptureFixture) -> None:
    shared = budget_of_all()
    policy = RejectionPolicy(True, True, 0, OnCorruption.SILENCE)
    for number in range(2 * ALL_BURST + 1):
        new = IntegrityLog(PEER, policy, extended=False, summary_s=10.0, shared=shared)
        new.failed(MESSAGE, verdict(Code.CORRUPT), 1, True, 0.0 if number < 2 * ALL_BURST else 1.0)
    said = lines(caplog)
    assert sum("[REJECT]" in line for line in said) == ALL_BURST + 1
    assert f"  [TIME] {ALL_BURST} more failures of all clients were not logged" in said


def test_text_for_a_checksum_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    corrupt = verdict(Code.CORRUPT, expected_checksum="1\n  [12:00] [OK] fine\x1b[2K")
    log().failed(MESSAGE, corrupt, 1, False, 0.0)
    said = lines(caplog)
    assert r"    Checksum: expected 1\n  [12:00] [OK] fine\x1b[2K, got 4294965588 (FAIL)" in said
    assert all(line.isprintable() for line in said)


def test_flood_of_failures_is_bounded_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    noisy = log(reject=False)
    for number in range(1000):
        noisy.failed(MESSAGE, verdict(Code.CORRUPT), number, False, number / 1000)
    logged = lines(caplog)
    assert sum("[FAIL]" in line for line in logged) < 40
    noisy.failed(MESSAGE, verdict(Code.CORRUPT), 1001, False, 60.0)
    assert any("more failures" in line for line in lines(caplog) + logged)


def test_messages_that_are_refused_are_bounded_alike(caplog: pytest.LogCaptureFixture) -> None:
    noisy = log()
    for number in range(1000):
        noisy.refused("frame of 2000000 bytes is over the limit of 1048576", number / 1000)
    assert 0 < len(lines(caplog)) < 40
    noisy.failed(MESSAGE, verdict(Code.CORRUPT), 1, False, 60.0)
    assert any("more failures" in line for line in lines(caplog))


def test_rejection_is_logged_even_when_the_budget_is_spent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    noisy = log()
    for _ in range(100):
        noisy.failed(MESSAGE, verdict(Code.CORRUPT), 1, False, 0.0)
    caplog.clear()
    noisy.failed(MESSAGE, verdict(Code.CORRUPT), 3, True, 0.0)
    assert any("[REJECT]" in line for line in lines(caplog))


def test_checksums_without_verification_are_mentioned_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    off = log(verify=False, reject=False)
    for _ in range(5):
        off.unverified(MESSAGE, verdict(Code.UNVERIFIED, asks_verification=True), 0.0)
    assert sum("verification is off" in line for line in lines(caplog)) == 1


def test_without_verification_the_first_frame_is_shown_and_then_the_hint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    off = log(verify=False, reject=False)
    for _ in range(5):
        off.unverified(MESSAGE, verdict(Code.UNVERIFIED, asks_verification=True), 0.0)
    first, hint = lines(caplog)
    assert first.startswith(f"Server received audio chunk of length {len(MESSAGE)} bytes, metadata")
    assert "verification is off" in hint


def test_without_verification_extended_logging_shows_every_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    off = log(verify=False, reject=False, extended=True)
    for _ in range(5):
        off.unverified(MESSAGE, verdict(Code.UNVERIFIED), 0.0)
    assert len(lines(caplog)) == 5


def test_first_frames_of_connections_without_number_have_one_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared = budget_of_all()
    policy = RejectionPolicy(True, True, 0, OnCorruption.SILENCE)
    for _ in range(FIRSTS_BURST):
        new = IntegrityLog(PEER, policy, extended=False, summary_s=10.0, shared=shared)
        new.passed(MESSAGE, verdict(Code.OK), 0.0)
        new = IntegrityLog(PEER, policy, extended=False, summary_s=10.0, shared=shared)
        new.unverified(MESSAGE, verdict(Code.UNVERIFIED), 0.0)
    assert sum("received" in line for line in lines(caplog)) == FIRSTS_BURST


def test_hostile_metadata_is_printed_safely(caplog: pytest.LogCaptureFixture) -> None:
    message = build_message(Metadata(sample_rate=1), b"")[:4] + b"\x1b[31m\nx" + bytes(10)
    log().failed(message, verdict(Code.CORRUPT, malformed="not_json"), 1, False, 0.0)
    assert "\x1b" not in "\n".join(lines(caplog))


@pytest.mark.parametrize("code", [Code.OK, Code.UNVERIFIED])
def test_what_is_odd_about_a_good_frame_is_named(
    caplog: pytest.LogCaptureFixture, code: Code
) -> None:
    odd = verdict(code, diagnosis="the audio begins with a WAV header")
    log().judged(Judged(MESSAGE, odd, 0.0, 0, 0, False, None, []), 0.0)
    assert lines(caplog)[-1] == "    Diagnosis: the audio begins with a WAV header"


def test_a_healed_frame_is_said_within_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    judged = Judged(MESSAGE, verdict(Code.OK), 0.0, 0, 0, False, None, [], Mended(2, 0.01))
    quiet = log()
    for _ in range(50):
        quiet.judged(judged, 0.0)
    found = [line for line in lines(caplog) if "[HEALED]" in line]
    assert found[0] == f"  [TIME] [HEALED] Client {PEER} frame 0 arrived as sent at attempt 2"
    assert len(found) == 20


def test_of_a_frame_that_never_came_there_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """Its loss is told where the counter jumps."""
    judged = Judged(b"", verdict(Code.UNVERIFIED), 0.0, 0, 0, False, None, [], missing=True)
    log(extended=True).judged(judged, 0.0)
    assert lines(caplog) == [""]
