"""Receipts of one stream that two gateways heard: what they cover together, and what not."""

from __future__ import annotations

import base64
import hashlib
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import Commit
from common.receipts.chain import examine_chain
from common.receipts.checking import examine, prove
from common.receipts.statement import Bundle, FrameRecord, Heard, Judgement, ReceiptError
from gateway.receipts import ReceiptBook
from gateway.window import START
from tests.unit.gateway.test_receipts import ABOUT, KEYS, NOWHERE, SIGNER, flipped

FRAME: Final = 1_000
AUDIO: Final = np.random.default_rng(1).integers(-99, 99, 20 * FRAME).astype("<i2").tobytes()
TEXTS: Final = ["One.", "Zwölf.", "Drei."]
TRANSCRIPT: Final = "".join(f"{text}\n" for text in TEXTS).encode()


def receipt(
    audio: bytes, texts: list[str], start: Commit = START, *, final: bool, rate_hz: int = 16_000
) -> Bundle:
    """Of a session that was sent this audio."""
    book = ReceiptBook(bytes(16), 0, start)
    raw = b""
    for number, at in enumerate(range(0, len(audio), 2 * FRAME)):
        pcm = audio[at : at + 2 * FRAME]
        record = FrameRecord(
            number,
            Judgement.OK,
            Heard.AS_RECEIVED,
            rate_hz,
            len(pcm) // 2,
            hashlib.sha256(pcm).digest(),
        )
        book.frame(record, memoryview(pcm))
    sentences = [book.sentence(text, NOWHERE) for text in texts]
    if (records := book.records()) is not None:
        raw = base64.b64decode(records.frames)
    stated = book.statement(1, ABOUT._replace(final=final))
    return Bundle.of(SIGNER.sign(msgspec.json.encode(stated)), raw, sentences)


class Chain(NamedTuple):
    """Two receipts: of a gateway that was killed after frame 12, and of the next, from frame 8."""

    first: Bundle
    second: Bundle

    def failures(self, audio: bytes | None = AUDIO, text: bytes | None = TRANSCRIPT) -> list[str]:
        found = examine_chain(list(self), KEYS, audio, text)
        return [finding.text for finding in found if not finding.holds]


BEGINS: Final = Commit(0, 300, sample=8 * FRAME + 300)
CHAIN: Final = Chain(
    receipt(AUDIO[: 12 * 2 * FRAME], TEXTS[:2], final=False),
    receipt(AUDIO[8 * 2 * FRAME :], TEXTS[2:], BEGINS, final=True),
)


def test_both_hold_against_the_whole_stream_and_it_is_said_where_the_second_begins() -> None:
    found = examine_chain(list(CHAIN), KEYS, AUDIO, TRANSCRIPT)
    assert all(finding.holds for finding in found), found
    said = "receipt 2: it goes on at sample 8300 of the stream (0.52 s), in frame 8 of the receipt"
    assert any(finding.text.startswith(said) for finding in found)


def test_of_one_receipt_the_same_is_said_as_ever() -> None:
    whole = receipt(AUDIO, TEXTS, final=True)
    assert examine_chain([whole], KEYS, AUDIO, TRANSCRIPT) == examine(
        whole, KEYS, AUDIO, TRANSCRIPT
    )


@given(bit=st.integers(0, 16 * len(AUDIO) - 1))
def test_any_bit_that_changes_in_the_audio_is_found(bit: int) -> None:
    (first, *_) = CHAIN.failures(flipped(AUDIO, bit))
    assert "is the first that differs" in first


@given(bit=st.integers(0, 8 * len(TRANSCRIPT) - 1))
def test_any_bit_that_changes_in_the_transcript_is_found(bit: int) -> None:
    assert CHAIN.failures(text=flipped(TRANSCRIPT, bit))


def test_what_no_receipt_covers_is_said() -> None:
    early = CHAIN._replace(first=receipt(AUDIO[: 6 * 2 * FRAME], TEXTS[:2], final=False))
    assert early.failures() == [
        "receipt 2: it goes on at sample 8300 of the stream (0.52 s); no receipt covers the 2300 "
        "samples before"
    ]
    fewer = CHAIN._replace(first=receipt(AUDIO[: 12 * 2 * FRAME], TEXTS[:1], final=False))
    assert fewer.failures() == ["transcript: sentences 1 to 1 are in no receipt"]
    assert CHAIN.failures(AUDIO + bytes(100)) == [
        "audio: it goes on for 50 samples after the last receipt"
    ]


def test_receipts_in_the_wrong_order_do_not_fit() -> None:
    swapped = Chain(CHAIN.second, CHAIN.first)
    assert "receipt 2: it begins before the one before, at sample 0 of" in swapped.failures()[0]


def test_a_receipt_by_an_unknown_key_proves_nothing_of_the_others() -> None:
    (first, *more) = examine_chain(list(CHAIN), {}, AUDIO, TRANSCRIPT)
    assert not first.holds
    assert [finding.holds for finding in more] == [False]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_a_stream_of_another_rate_is_found_though_positions_are_rounded(rate_hz: int) -> None:
    at = round(8 * FRAME * 16_000 / rate_hz)
    begins = Commit(0, 300, sample=at + 300)
    chain = Chain(
        receipt(AUDIO[: 12 * 2 * FRAME], TEXTS[:2], final=False, rate_hz=rate_hz),
        receipt(AUDIO[8 * 2 * FRAME :], TEXTS[2:], begins, final=True, rate_hz=rate_hz),
    )
    assert chain.failures() == []


def test_a_proof_of_one_frame_is_no_link_of_a_chain() -> None:
    with pytest.raises(ReceiptError, match="receipt 1 shows one frame alone"):
        examine_chain([prove(CHAIN.first, "frame", 0), CHAIN.second], KEYS)


def test_without_records_the_audio_is_checked_all_the_same() -> None:
    bare = Chain(Bundle(CHAIN.first.receipt), Bundle(CHAIN.second.receipt))
    assert bare.failures() == []
    assert bare.failures(flipped(AUDIO, 5)) == [
        "receipt 1: audio: not what the server received: the receipt file holds no records of "
        "frames that could say where"
    ]
