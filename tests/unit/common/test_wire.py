from __future__ import annotations

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import MalformedFrameError, MalformedReason
from common.wire import (
    MAX_METADATA_BYTES,
    FrameLabel,
    Metadata,
    build_message,
    frame_label,
    mark_resent,
    metadata_text,
    parse_message,
    parse_metadata,
    without_mark,
)


def message(header: bytes | str | dict[str, object], pcm: bytes = b"") -> bytes:
    if isinstance(header, dict):
        header = json.dumps(header)
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<I", len(raw)) + raw + pcm


def reason_of(raw: bytes) -> MalformedReason:
    with pytest.raises(MalformedFrameError) as caught:
        parse_message(raw)
    assert caught.value.message
    return caught.value.reason


whole = st.integers(0, 2**63 - 1)
checksums = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text("0123456789abcdef", max_size=64)
metadatas = st.builds(
    Metadata,
    sample_rate=st.integers(4_000, 192_000).map(float),
    data_length=st.none() | whole,
    checksum=checksums,
    checksum_algorithm=st.none() | st.text(max_size=20),
    audio_sequence=st.none() | whole,
    timestamp=st.none() | st.integers(0, 2**53),
    server_sent_to_stt=st.none() | st.booleans() | st.integers(0, 2**62),
)


@given(metadatas, st.binary(max_size=100))
def test_what_is_built_is_parsed_again(metadata: Metadata, pcm: bytes) -> None:
    frame = parse_message(build_message(metadata, pcm))
    assert frame.metadata == metadata
    assert frame.sample_rate_hz == metadata.sample_rate
    assert bytes(frame.pcm) == pcm


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_malformed_frame(raw: bytes) -> None:
    with contextlib.suppress(MalformedFrameError):
        parse_message(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
field_names = st.sampled_from(
    [
        "sampleRate",
        "dataLength",
        "checksum",
        "checksumAlgorithm",
        "audioSequence",
        "timestamp",
        "server_sent_to_stt",
        "other",
    ]
)


@given(st.dictionaries(field_names, json_values), st.binary(max_size=9))
def test_arbitrary_metadata_raises_nothing_but_malformed_frame(
    fields: dict[str, object], pcm: bytes
) -> None:
    raw = message(fields, pcm)
    with contextlib.suppress(MalformedFrameError):
        assert bytes(parse_message(raw).pcm) == pcm


def test_the_audio_is_not_copied() -> None:
    raw = message({"sampleRate": 16000}, b"\x01\x00\x02\x00")
    pcm = parse_message(raw).pcm
    assert isinstance(pcm, memoryview)
    assert pcm.obj is raw


def test_a_memoryview_is_parsed_as_bytes_are() -> None:
    raw = message({"sampleRate": 16000}, b"ab")
    assert parse_message(memoryview(raw)).metadata == parse_message(raw).metadata


@pytest.mark.parametrize("size", [0, 1, 3])
def test_under_four_bytes_is_too_short(size: int) -> None:
    assert reason_of(b"\x00" * size) is MalformedReason.TOO_SHORT


def test_a_header_longer_than_the_message_is_an_overrun() -> None:
    assert reason_of(struct.pack("<I", 5) + b"{}ab") is MalformedReason.HEADER_OVERRUN
    assert reason_of(b"\xff\xff\xff\xff") is MalformedReason.HEADER_OVERRUN


def test_huge_metadata_is_refused_without_reading_it() -> None:
    raw = message(b" " * (MAX_METADATA_BYTES + 1))
    assert reason_of(raw) is MalformedReason.HEADER_TOO_LARGE


def test_metadata_at_the_limit_is_read() -> None:
    header = b'{"sampleRate":16000}'.ljust(MAX_METADATA_BYTES)
    assert parse_message(message(header)).sample_rate_hz == 16_000


def test_bytes_that_are_no_text_are_not_utf8() -> None:
    assert reason_of(message(b'{"sampleRate":\xff}')) is MalformedReason.NOT_UTF8


@pytest.mark.parametrize(
    "header",
    ["", "{", "nonsense", '{"sampleRate":16000}x', "{'sampleRate':1}", '{"sampleRate":NaN}'],
)
def test_text_that_is_no_json_is_not_json(header: str) -> None:
    assert reason_of(message(header)) is MalformedReason.NOT_JSON


@pytest.mark.parametrize("header", ["[]", "3", "null", '"text"', "true"])
def test_json_that_is_no_object_is_told_apart(header: str) -> None:
    assert reason_of(message(header)) is MalformedReason.NOT_AN_OBJECT


@pytest.mark.parametrize(
    "field, value",
    [
        ("sampleRate", "16000"),
        ("sampleRate", True),
        ("sampleRate", [16000]),
        ("dataLength", "4096"),
        ("dataLength", -1),
        ("dataLength", 1.5),
        ("dataLength", True),
        ("dataLength", 2**63),
        ("checksum", 1.5),
        ("checksum", [1]),
        ("checksum", True),
        ("checksum", 2**64),
        ("checksum", -(2**64)),
        ("checksum", "f" * 129),
        ("checksumAlgorithm", 5),
        ("audioSequence", -1),
        ("audioSequence", 2**70),
        ("timestamp", "now"),
        ("server_sent_to_stt", {}),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    with pytest.raises(MalformedFrameError) as caught:
        parse_message(message({"sampleRate": 16000, field: value}))
    assert caught.value.reason is MalformedReason.WRONG_TYPE
    assert field in caught.value.message


def test_metadata_without_a_sample_rate_is_refused() -> None:
    assert reason_of(message("{}")) is MalformedReason.MISSING_SAMPLE_RATE
    assert reason_of(message({"sampleRate": None})) is MalformedReason.MISSING_SAMPLE_RATE


@pytest.mark.parametrize("rate", [0, -16000, 3_999, 192_001, 1e300, 22050.5])
def test_an_absurd_sample_rate_is_refused(rate: float) -> None:
    assert reason_of(message({"sampleRate": rate})) is MalformedReason.ABSURD_SAMPLE_RATE


@pytest.mark.parametrize("rate", [4_000, 16_000, 44_100, 48_000.0, 192_000])
def test_usual_sample_rates_are_accepted(rate: float) -> None:
    assert parse_message(message({"sampleRate": rate})).sample_rate_hz == rate


@pytest.mark.parametrize("header", ['{"a":' * 3_000 + "1" + "}" * 3_000, "[" * 16_000])
def test_deep_json_is_survived(header: str) -> None:
    assert reason_of(message(header[:MAX_METADATA_BYTES])) in (
        MalformedReason.NOT_JSON,
        MalformedReason.NOT_AN_OBJECT,
    )


def test_huge_numbers_are_survived() -> None:
    digits = "9" * 15_000
    raw = message(f'{{"sampleRate":16000,"server_sent_to_stt":{digits}}}')
    assert reason_of(raw) is MalformedReason.WRONG_TYPE
    assert parse_message(message(f'{{"sampleRate":16000,"other":{digits}}}')).sample_rate_hz


def test_the_stock_clients_nanosecond_stamp_is_no_error() -> None:
    metadata = parse_metadata(b'{"sampleRate":16000,"server_sent_to_stt":1764000000000000001}')
    assert metadata.server_sent_to_stt == 1764000000000000001
    assert metadata.checksum is None


def test_a_nanosecond_timestamp_keeps_its_digits() -> None:
    """A strong digest covers the time stamp, and a float would round this one."""
    metadata = parse_metadata(b'{"sampleRate":16000,"timestamp":1764000000000000001}')
    assert metadata.timestamp == 1764000000000000001


def test_unknown_fields_are_ignored() -> None:
    assert parse_message(message({"sampleRate": 16000, "x": {"y": [1]}})).sample_rate_hz == 16_000


def test_the_last_of_a_repeated_field_counts() -> None:
    assert parse_metadata(b'{"sampleRate":8000,"sampleRate":16000}').sample_rate == 16_000


def test_odd_pcm_is_left_to_the_integrity_check() -> None:
    assert parse_message(message({"sampleRate": 16000}, b"abc")).pcm.nbytes == 3


def test_metadata_text_shows_what_was_received() -> None:
    assert metadata_text(message('{"sampleRate":16000}', b"pcm")) == '{"sampleRate":16000}'


def test_metadata_text_is_short_and_printable() -> None:
    assert metadata_text(b"\x01") == "<none>"
    assert metadata_text(message(b"a\n\x1b[31m\xff")) == r"a\n\x1b[31m\xff"
    long = metadata_text(message("x" * 1000))
    assert long == "x" * 300 + "…"


@given(st.binary(max_size=400))
def test_metadata_text_survives_arbitrary_bytes(raw: bytes) -> None:
    assert metadata_text(raw).isprintable()


# -- frames that are asked for again --------------------------------------------------------------


def test_a_frames_label_is_its_number_and_whether_it_was_asked_for() -> None:
    message = build_message(Metadata(sample_rate=16_000, audio_sequence=7), b"\x01\x02")
    assert frame_label(message) == FrameLabel(7, False)
    again = mark_resent(message, 2)
    assert frame_label(again) == FrameLabel(7, True)
    assert without_mark(again) == without_mark(message) == message
    assert bytes(parse_message(again).pcm) == b"\x01\x02"
    assert parse_message(again).metadata == parse_message(message).metadata


@given(message=st.binary(max_size=40))
def test_a_message_without_a_label_has_none_whatever_it_holds(message: bytes) -> None:
    assert frame_label(message) is None
    without = build_message(Metadata(sample_rate=16_000), message)
    assert frame_label(without) is None
    header = json.dumps({"audioSequence": -1}).encode()
    assert frame_label(struct.pack("<I", len(header)) + header) is None


def test_metadata_that_cannot_be_marked_is_left_alone() -> None:
    for header in (b"{}", b"", b"[1]"):
        message = struct.pack("<I", len(header)) + header + b"\x01\x02"
        assert mark_resent(message, 1) == message
