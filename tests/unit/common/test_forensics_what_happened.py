"""What happened to a message is told from what arrived and what was sent."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.forensics.what_happened import compare, guess

SENT = bytes(random.Random(1).randbytes(2_000))


def with_bytes(at: int, what: bytes) -> bytes:
    return SENT[:at] + what + SENT[at + len(what) :]


@pytest.mark.parametrize(
    "arrived, kind, at",
    [
        (with_bytes(70, bytes([SENT[70] ^ 4])), "one bit flipped", 70),
        (with_bytes(70, bytes(b ^ 0x11 for b in SENT[70:90])), "bits flipped in one burst", 70),
        (
            with_bytes(70, bytes([SENT[70] ^ 4]))[:900] + bytes([SENT[900] ^ 1]) + SENT[901:],
            "bits flipped in many places",
            70,
        ),
        (with_bytes(100, bytes(50)), "zeroed", 100),
        (SENT[:-7], "truncated", 1_993),
        (SENT[9:], "truncated", 0),
        (SENT[:500] + SENT[510:], "bytes lost", 500),
        (SENT[:500] + b"0123456789" + SENT[500:], "bytes inserted", 500),
        (SENT[:600] + SENT[500:600] + SENT[600:], "repeated", 600),
        (with_bytes(600, SENT[500:600]), "repeated", 600),
        (SENT[:64] + SENT[256:320] + SENT[128:256] + SENT[64:128] + SENT[320:], "moved", 64),
        (SENT[:64] + SENT[100:200] + SENT[64:100] + SENT[200:], "moved", 64),
        (
            SENT[:40] + b"".join(SENT[i : i + 2][::-1] for i in range(40, 2_000, 2)),
            "byte-swapped",
            40,
        ),
        (SENT.decode("utf-8", "replace").encode(), "taken for text", None),
        (SENT.decode("latin-1").encode(), "taken for text", None),
        (bytes(byte & 0x7F for byte in SENT), "taken for text", None),
        (SENT.replace(b"\n", b"\r\n"), "taken for text", None),
        (SENT[:300] + bytes(random.Random(2).randbytes(1_500)), "rewritten", None),
        (SENT, "none", -1),
    ],
)
def test_what_happened_is_recognised(arrived: bytes, kind: str, at: int | None) -> None:
    finding = compare(arrived, SENT)
    assert finding.kind == kind, finding.text
    if at is not None:
        assert finding.at == at


def test_it_is_told_in_a_sentence_with_the_place() -> None:
    flipped = with_bytes(70, bytes([SENT[70] ^ 4]))
    assert compare(flipped, SENT).text.startswith("bit 2 of byte 70 was flipped: 0x")
    assert compare(SENT[:-7], SENT).text == "the last 7 bytes are missing"


@given(arrived=st.binary(max_size=60), sent=st.binary(min_size=1, max_size=60))
def test_whatever_arrived_something_is_said_of_it(arrived: bytes, sent: bytes) -> None:
    finding = compare(arrived, sent)
    assert finding.text
    assert (finding.kind == "none") == (arrived == sent)
    assert -1 <= finding.at <= max(len(arrived), len(sent))


def test_without_what_was_sent_only_replacement_characters_say_something() -> None:
    assert guess(SENT).kind == "unknown"
    assert guess(SENT.decode("utf-8", "replace").encode()).kind == "taken for text"
