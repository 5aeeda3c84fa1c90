"""The format of receipts: what is written can be read, and what is none is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.receipts.statement import (
    RECORD_BYTES,
    Bundle,
    Envelope,
    FrameRecord,
    Handling,
    Heard,
    Judgement,
    Predicate,
    Proof,
    ReceiptError,
    Tree,
    from_base64,
    parse_bundle,
    parse_sentence,
    parse_statement,
    rfc3339,
    statement,
)

ENVELOPE = Envelope("e30=", "application/vnd.in-toto+json", [])
PREDICATE = Predicate(
    session="00" * 32,
    started="2026-01-01T00:00:00.000Z",
    issued="2026-01-01T00:00:01.000Z",
    start_sample=0,
    skipped_samples=0,
    final=True,
    rejected="",
    version="0.1.0",
    handling=Handling(True, "silence", True, 0),
    frames=Tree(0, "00"),
    sentences=Tree(0, "00"),
    judged={"ok": 0},
    received_samples=0,
    heard_samples=0,
    engine="null",
    model="",
    replays=0,
)


def test_a_frames_record_has_fifty_bytes_in_the_order_that_is_documented() -> None:
    record = FrameRecord(1, Judgement.HEALED, Heard.SILENCE, 16_000, 2_048, bytes(range(32)))
    leaf = record.pack()
    assert RECORD_BYTES == len(leaf) == 50
    assert leaf.hex() == f"{1:016x}0301{16_000:08x}{2_048:08x}{bytes(range(32)).hex()}"
    assert FrameRecord.unpack(leaf) == record


@given(leaf=st.binary(max_size=60))
def test_what_is_no_record_of_a_frame_is_refused(leaf: bytes) -> None:
    try:
        record = FrameRecord.unpack(leaf)
    except ReceiptError:
        return
    assert record.pack() == leaf


def test_a_statement_is_an_in_toto_statement() -> None:
    found = statement({"audio-received": b"\x01\x02"}, PREDICATE)
    raw = msgspec.json.decode(msgspec.json.encode(found))
    assert raw["_type"] == "https://in-toto.io/Statement/v1"
    assert raw["subject"] == [{"name": "audio-received", "digest": {"sha256": "0102"}}]
    assert raw["predicateType"] == "urn:verified-stt:receipt:v1"
    assert raw["predicate"]["handling"]["onCorruption"] == "silence"
    assert parse_statement(msgspec.json.encode(found)) == found
    assert found.digest_of("audio-received") == "0102"
    assert found.digest_of("nothing of that name") == ""


def test_a_later_version_may_say_more() -> None:
    raw = msgspec.json.decode(msgspec.json.encode(statement({}, PREDICATE)))
    raw["predicate"]["weather"] = "fine"
    assert parse_statement(msgspec.json.encode(raw)).predicate == PREDICATE


@pytest.mark.parametrize("field", ["_type", "predicateType"])
def test_a_statement_of_another_type_is_refused(field: str) -> None:
    raw = msgspec.json.decode(msgspec.json.encode(statement({}, PREDICATE)))
    raw[field] = "https://example.com/other"
    with pytest.raises(ReceiptError, match="expected"):
        parse_statement(msgspec.json.encode(raw))


@given(raw=st.binary(max_size=40))
def test_what_is_no_statement_or_sentence_is_refused(raw: bytes) -> None:
    for parse in (parse_statement, parse_sentence, parse_bundle):
        with pytest.raises(ReceiptError):
            parse(raw)


def test_a_receipt_file_is_a_bundle_or_the_envelope_alone() -> None:
    alone = parse_bundle(msgspec.json.encode(ENVELOPE))
    assert alone == Bundle(ENVELOPE)
    assert alone.frame_leaves() == []
    leaves = [bytes(50), bytes(range(50))]
    import base64

    bundle = Bundle(ENVELOPE, base64.b64encode(b"".join(leaves)).decode(), ["{}"])
    again = parse_bundle(msgspec.json.encode(bundle))
    assert again == bundle
    assert again.frame_leaves() == leaves
    assert again.sentence_leaves() == [b"{}"]


def test_records_that_are_cut_and_text_that_is_not_base64_or_hexadecimal_are_refused() -> None:
    with pytest.raises(ReceiptError, match="whole number"):
        Bundle(ENVELOPE, "AAAA").frame_leaves()
    for text in ("A", "ä", "AA A"):
        with pytest.raises(ReceiptError, match="base64"):
            from_base64(text)
    with pytest.raises(ReceiptError, match="hashes"):
        Proof("frame", 0, "", ["xy"]).hashes  # noqa: B018
    assert Proof("sentence", 0, "ä", []).leaf_bytes == "ä".encode()
    assert Proof("frame", 0, "AAA=", ["00ff"]).leaf_bytes == b"\x00\x00"


def test_moments_are_written_in_utc() -> None:
    assert rfc3339(1_640_995_200_123_000_000) == "2022-01-01T00:00:00.123Z"
