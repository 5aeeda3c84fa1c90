"""Deepgram's live protocol by its golden transcripts."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire import parse_message
from gateway.protocols.base import Close, Drained, Pass, Refused, Say, Utterance
from gateway.protocols.deepgram import DeepgramLive, Request
from gateway.protocols.deepgram_options import ListenOptions, listen_options
from tests.unit.gateway.transcript import assert_golden

REQUEST = Request(
    "11111111-2222-3333-4444-555555555555", "2026-11-27T13:00:00.000Z", "pocketsphinx"
)
QUERY = {
    "encoding": "linear16",
    "sample_rate": "16000",
    "interim_results": "true",
    "vad_events": "true",
    "endpointing": "300",
    "utterance_end_ms": "1000",
    "tag": "a test",
}


def live(**changes: str) -> DeepgramLive:
    return DeepgramLive(REQUEST, listen_options({**QUERY, **changes}.items(), live=True), idle_s=10)


@pytest.mark.parametrize(
    "name", ["deepgram_live", "deepgram_idle", "deepgram_livekit", "deepgram_pipecat"]
)
def test_golden(name: str) -> None:
    assert_golden(name, live())


@given(st.lists(st.binary(min_size=1, max_size=900), max_size=9))
def test_the_metadata_has_the_digest_and_length_of_what_was_received(pieces: list[bytes]) -> None:
    translator = live()
    for piece in pieces:
        translator.receive(piece, 0)
    translator.receive('{"type": "CloseStream"}', 0)
    said, _ = translator.hear(Drained())
    assert isinstance(said, Say)
    audio = b"".join(pieces)
    assert said.message["sha256"] == hashlib.sha256(audio).hexdigest()
    assert said.message["duration"] == pytest.approx(len(audio) // 2 / 16_000, abs=0.001)


@given(st.text(max_size=50))
def test_text_that_is_no_command_is_named_and_harms_nothing(text: str) -> None:
    (said,) = live().receive(text, 0)
    assert isinstance(said, Say)
    assert said.message["variant"] == "SchemaError"


def test_results_never_overlap() -> None:
    translator = live()
    first = translator.hear(Utterance("One.", 0, 1000))[0]
    second = translator.hear(Utterance("Two.", 900, 2000))[0]
    assert isinstance(first, Say)
    assert isinstance(second, Say)
    assert second.message["start"] == 1.0
    assert second.message["duration"] == 1.0


def test_without_endpointing_no_result_is_speech_final() -> None:
    said = live(endpointing="false").hear(Utterance("One.", 0, 1000))[0]
    assert isinstance(said, Say)
    assert (said.message["is_final"], said.message["speech_final"]) == (True, False)


def test_audio_without_an_encoding_needs_a_header() -> None:
    translator = DeepgramLive(REQUEST, ListenOptions(), idle_s=10)
    said, close = translator.receive(b"\0" * 100, 0)
    assert isinstance(said, Say)
    assert isinstance(close, Close)
    assert close.reason.startswith("DATA-0000")
    assert translator.receive(b"more", 0) == []


def test_finalize_before_any_audio_is_answered_too() -> None:
    translator = DeepgramLive(REQUEST, ListenOptions(), idle_s=10)
    (said,) = translator.receive('{"type": "Finalize"}', 0)
    assert isinstance(said, Say)
    assert said.message["from_finalize"]


def test_an_empty_binary_message_closes_the_stream_as_old_clients_do() -> None:
    translator = live()
    translator.receive(b"\1\0", 0)
    frame, _ = translator.receive(b"", 0)
    assert isinstance(frame, Pass)
    assert bytes(parse_message(frame.frame).pcm) == b"\1\0"


def test_a_refusal_is_told_and_closes() -> None:
    said, close = live().hear(Refused("busy", "the server is full"))
    assert isinstance(said, Say)
    assert close == Close(1013, "the server is full")
    (large,) = live().too_large(10, 5)
    assert isinstance(large, Say)


@given(st.binary(min_size=2, max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_a_finalize_in_the_middle_of_a_sample_shifts_no_audio(
    audio: bytes, cuts: list[int]
) -> None:
    translator, passed = live(), b""
    edges = [0, *sorted(min(cut, len(audio)) for cut in cuts), len(audio)]
    for begin, end in itertools.pairwise(edges):
        actions = translator.receive(audio[begin:end], 0) if end > begin else []
        actions += translator.receive('{"type": "Finalize"}', 0)
        frames = [parse_message(action.frame) for action in actions if isinstance(action, Pass)]
        passed += b"".join(bytes(frame.pcm) for frame in frames)
    assert passed == audio[: len(audio) // 2 * 2]
