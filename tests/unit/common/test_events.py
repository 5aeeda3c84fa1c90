from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.events import (
    END_OF_STREAM,
    RECEIPT_PLEASE,
    STOCK_EVENT_TYPES,
    Acknowledged,
    ClientRequest,
    End,
    Error,
    FramesLost,
    FrameVerdict,
    FullSentence,
    Notice,
    Realtime,
    Report,
    RetentionLimited,
    ServerEvent,
    SessionStarted,
    TranscriberChanged,
    TranscriptionStart,
    client_request,
    end_of_stream,
    event_type,
    from_json,
    is_end_of_stream,
    not_sent,
    to_json,
)

EXAMPLES: list[ServerEvent | Notice] = [
    Notice("recording_start"),
    Realtime("partial"),
    FullSentence("Whole."),
    TranscriptionStart.of(b"\x01\x00\xff\x7f"),
    Error("data_corruption", "why", "disconnect"),
    SessionStarted("abc", 3, 1, True, 64, True),
    FrameVerdict(5, "corrupt", 1.5, 4096, 4090, 1, "ff", "truncated by 6 samples", 1, 2),
    FramesLost("lost", 3, 5),
    Acknowledged(9, 4),
    RetentionLimited("session", 1 << 20, "12 s"),
    TranscriberChanged("waiting"),
    Report(1, 0.5, 1, 0, 0, [], 0, 0, 0, 0, 0, 1, {"p50": 1.0}),
    End(),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=event_type)
def test_what_is_sent_is_read_again(event: ServerEvent | Notice) -> None:
    text = to_json(event)
    assert from_json(text) == event
    assert json.loads(text)["type"] == event_type(event)


def test_an_event_is_encoded_once_for_all_who_hear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[object] = []

    def counting(event: object) -> bytes:
        encoded.append(event)
        return b"{}"

    monkeypatch.setattr("common.events.encode", counting)
    for event in (Realtime("One"), Notice("vad_start")):
        assert {to_json(event) for _ in range(300)} == {"{}"}
    assert encoded == [Realtime("One"), Notice("vad_start")]


def test_the_rejection_is_worded_as_documented() -> None:
    message = "Connection rejected: Checksum mismatch: expected 12345678, got 87654321"
    assert json.loads(to_json(Error("data_corruption", message, "disconnect"))) == {
        "type": "error",
        "error": "data_corruption",
        "message": message,
        "action": "disconnect",
    }


def test_stock_events_are_shaped_as_stock_clients_expect() -> None:
    assert json.loads(to_json(FullSentence("hi"))) == {"type": "fullSentence", "text": "hi"}
    assert json.loads(to_json(Realtime("hi"))) == {"type": "realtime", "text": "hi"}
    assert json.loads(to_json(Notice("vad_start"))) == {"type": "vad_start"}
    started = json.loads(to_json(TranscriptionStart.of(b"\x01\x00")))
    assert base64.b64decode(started["audio_bytes_base64"]) == b"\x01\x00"
    for event in (FullSentence("x"), Realtime("x"), TranscriptionStart.of(b"")):
        assert event.type in STOCK_EVENT_TYPES


def test_nothing_new_bears_a_stock_name() -> None:
    stock = {"realtime", "fullSentence", "transcription_start", "recording_start"}
    new = {event_type(event) for event in EXAMPLES} - stock
    assert not new & STOCK_EVENT_TYPES


def test_an_event_type_of_a_newer_server_is_a_notice() -> None:
    assert from_json('{"type":"new","x":[1]}') == Notice("new")


def test_a_field_of_a_newer_server_is_ignored() -> None:
    assert from_json('{"type":"realtime","text":"a","new":1}') == Realtime("a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type":5}', '{"type":"realtime"}', "nonsense"])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        from_json(text)


def test_the_end_of_a_stream_is_recognised() -> None:
    assert is_end_of_stream(END_OF_STREAM)
    assert is_end_of_stream('{"type": "end", "more": 1}')


@pytest.mark.parametrize("text", ["", "end", "[]", '"end"', '{"type":"close"}', "[" * 100_000])
def test_other_texts_are_not(text: str) -> None:
    assert not is_end_of_stream(text)


@given(st.text(max_size=30))
def test_any_text_is_survived(text: str) -> None:
    assert is_end_of_stream(text) in (True, False)


def test_what_clients_say_is_read_and_what_they_may_not_say_is_no_request() -> None:
    assert client_request(end_of_stream(7)) == ClientRequest("end", 7)
    assert client_request(END_OF_STREAM) == ClientRequest("end")
    assert client_request(not_sent(3)) == ClientRequest("not_sent", sequence=3)
    assert client_request(RECEIPT_PLEASE).type == "receipt"
    for text in ("", "{}", "[]", '{"type":1}', '{"type":"end","frames":"7"}', "[" * 5000):
        assert client_request(text).type == ""
