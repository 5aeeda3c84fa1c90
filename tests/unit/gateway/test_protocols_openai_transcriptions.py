"""What a transcription's form asks for, and each form of the answer."""

from __future__ import annotations

import json

import pytest

from gateway.protocols.base import Utterance, Word
from gateway.protocols.openai_transcriptions import (
    BadFieldError,
    ResponseFormat,
    TranscriptionRequest,
    answer,
    delta_event,
    done_event,
    error_event,
    models,
    transcription_request,
)

SAID = [Utterance("One.", 500, 1000), Utterance("", 1000, 1500), Utterance("Two.", 1600, 3723)]


def body(response_format: ResponseFormat, *, words: bool = False) -> str:
    return answer(TranscriptionRequest(response_format, words=words), SAID, 4.0).decode()


def test_each_form_of_the_answer() -> None:
    usage = {"type": "duration", "seconds": 4.0}
    assert json.loads(body(ResponseFormat.JSON)) == {"text": "One. Two.", "usage": usage}
    assert body(ResponseFormat.TEXT) == "One. Two.\n"
    assert body(ResponseFormat.SRT).startswith("1\n00:00:00,500 --> 00:00:01,000\nOne.\n")
    assert body(ResponseFormat.VTT).startswith("WEBVTT\n\n00:00:00.500 --> ")
    verbose = json.loads(body(ResponseFormat.VERBOSE_JSON))
    assert verbose["segments"] == [
        {"id": 0, "start": 0.5, "end": 1.0, "text": "One."},
        {"id": 1, "start": 1.6, "end": 3.723, "text": "Two."},
    ]
    assert verbose["duration"] == 4.0
    assert "words" not in verbose
    assert json.loads(body(ResponseFormat.VERBOSE_JSON, words=True))["words"] == []
    request = TranscriptionRequest(ResponseFormat.VERBOSE_JSON, words=True)
    timed = SAID[0]._replace(words=(Word("one", 500, 900, 0.5),))
    assert json.loads(answer(request, [timed], 4.0))["words"] == [
        {"word": "one", "start": 0.5, "end": 0.9}
    ]


def test_the_stream_is_the_text_piece_by_piece() -> None:
    events = [delta_event(SAID[0], first=True), delta_event(SAID[2], first=False), done_event(SAID)]
    read = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert all(event.endswith(b"\n\n") for event in events)
    assert read[0]["delta"] + read[1]["delta"] == read[2]["text"] == "One. Two."
    assert delta_event(SAID[1], first=False) == b""
    assert json.loads(error_event("why", "failed").removeprefix(b"data: "))["error"]["code"]


def test_a_form_is_read() -> None:
    assert transcription_request(
        [
            ("model", "whisper-1"),
            ("response_format", "srt"),
            ("language", "de"),
            ("temperature", "0.2"),
            ("prompt", "names"),
            ("stream", "true"),
            ("timestamp_granularities[]", "word"),
            ("newer", "field"),
        ]
    ) == TranscriptionRequest(ResponseFormat.SRT, "de", True, True)
    assert transcription_request([]) == TranscriptionRequest()
    assert TranscriptionRequest(language="de").parameters() == {"language": "de"}
    assert TranscriptionRequest().parameters() == {}


@pytest.mark.parametrize(
    "name, value",
    [
        ("response_format", "diarized_json"),
        ("temperature", "hot"),
        ("temperature", "2"),
        ("temperature", "nan"),
        ("stream", "perhaps"),
        ("language", "en; drop"),
        ("timestamp_granularities[]", "letter"),
    ],
)
def test_what_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(BadFieldError) as error:
        transcription_request([(name, value)])
    assert error.value.param == name.removesuffix("[]")


def test_the_models_are_what_runs() -> None:
    assert [model["id"] for model in models("pocketsphinx")["data"]] == ["pocketsphinx"]
    assert models("")["data"] == []
