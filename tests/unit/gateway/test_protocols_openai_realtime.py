"""OpenAI Realtime by its golden transcripts, and what no client may bring about."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.parameters import DEFAULT_LANGUAGE
from common.wire import Mark, parse_message
from gateway.protocols.base import Pass, Say, Set, Utterance
from gateway.protocols.openai_realtime import OpenAiRealtime
from tests.unit.gateway.transcript import assert_golden


@pytest.mark.parametrize(
    "name",
    [
        *("openai_vad", "openai_manual", "openai_errors"),
        *("openai_vad_commit", "openai_livekit", "openai_pipecat"),
    ],
)
def test_golden(name: str) -> None:
    assert_golden(name, OpenAiRealtime(prefix="x", model="pocketsphinx"))


def append(audio: bytes) -> str:
    encoded = base64.b64encode(audio).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": encoded})


UPDATE = {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}}
COMMIT = '{"type": "input_audio_buffer.commit"}'


@pytest.mark.parametrize("nothing", ["", None])
def test_a_language_that_is_taken_back_leaves_the_servers_own(nothing: str | None) -> None:
    translator = OpenAiRealtime(prefix="x", model="m")

    def languages(**transcription: str | None) -> list[object]:
        audio = {"input": {"transcription": transcription}}
        update = {"type": "session.update", "session": {"audio": audio}}
        actions = translator.receive(json.dumps(update), 0)
        return [a.value for a in actions if isinstance(a, Set) and a.name == "language"]

    assert languages(language=nothing) == []
    assert languages(language="de") == ["de"]
    assert languages(model="other") == [], "what is not named stays"
    assert languages(language=nothing) == [DEFAULT_LANGUAGE]
    assert languages(language=nothing) == []
    assert languages(language="de") == ["de"]


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=20))
def test_all_audio_of_a_commit_is_passed_on_before_its_mark(pieces: list[bytes]) -> None:
    translator = OpenAiRealtime(prefix="x", model="m")
    translator.receive(json.dumps(UPDATE), 0)
    actions = [a for piece in pieces for a in translator.receive(append(piece), 0)]
    actions += translator.receive(COMMIT, 0)
    frames = [parse_message(action.frame) for action in actions if isinstance(action, Pass)]
    sent = b"".join(pieces)
    assert b"".join(bytes(frame.pcm) for frame in frames) == sent[: len(sent) // 2 * 2]
    marks = [frame.metadata.utterance for frame in frames]
    assert marks[-1] is Mark.END
    assert set(marks[:-1]) <= {Mark.HOLD}


@given(st.lists(st.sampled_from(["append", "commit", "clear"]), max_size=30))
def test_each_commit_that_is_taken_completes_exactly_one_item(steps: list[str]) -> None:
    translator = OpenAiRealtime(prefix="x", model="m")
    translator.receive(json.dumps(UPDATE), 0)
    said = []
    marks: list[tuple[Mark, int]] = []
    for step in steps:
        message = (
            append(bytes(4800)) if step == "append" else f'{{"type":"input_audio_buffer.{step}"}}'
        )
        for action in translator.receive(message, 0):
            if isinstance(action, Say):
                said.append(action.message)
            elif isinstance(action, Pass):
                metadata = parse_message(action.frame).metadata
                if metadata.utterance_number:
                    assert metadata.utterance
                    marks.append((metadata.utterance, metadata.utterance_number))
    for _, number in marks:
        for action in translator.hear(Utterance(f"text {number}", 0, 100, number)):
            assert isinstance(action, Say)
            said.append(action.message)
    committed = [m["item_id"] for m in said if m["type"] == "input_audio_buffer.committed"]
    completed = [m["item_id"] for m in said if m["type"].endswith("transcription.completed")]
    assert len(set(committed)) == len(committed)
    assert completed == committed
    assert len(committed) == sum(mark is Mark.END for mark, _ in marks)


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_arbitrary_messages_are_answered_with_an_error(message: str | bytes) -> None:
    actions = OpenAiRealtime(prefix="x", model="m").receive(message, 0)
    assert [a.message["type"] for a in actions if isinstance(a, Say)] == ["error"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["format", "transcription", "turn_detection", "noise_reduction", "new"]),
    json_values,
)
def test_any_update_is_shown_or_refused(field: str, value: object) -> None:
    event = {"type": "session.update", "session": {"audio": {"input": {field: value}}}}
    actions = OpenAiRealtime(prefix="x", model="m").receive(json.dumps(event), 0)
    kinds = [a.message["type"] for a in actions if isinstance(a, Say)]
    assert kinds in (["session.updated"], ["error"])


def test_a_message_over_the_limit_is_an_error_of_its_own() -> None:
    (action,) = OpenAiRealtime(prefix="x", model="m").too_large(10, 5)
    assert isinstance(action, Say)
    assert action.message["error"]["code"] == "event_too_large"


def test_binary_messages_are_refused() -> None:
    (action,) = OpenAiRealtime(prefix="x", model="m").receive(b"\0\0", 0)
    assert isinstance(action, Say)
    assert action.message["error"]["code"] == "invalid_event"
