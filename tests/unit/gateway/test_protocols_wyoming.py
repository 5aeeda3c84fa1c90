"""Wyoming's events, without a connection."""

from __future__ import annotations

import pytest
from faster_whisper import tokenizer
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Describe

from common.wire import Mark, parse_message
from gateway.protocols.base import Close, Drained, Partial, Pass, Refused, Set, Utterance
from gateway.protocols.wyoming import SayEvent, Wyoming, WyomingAction, languages_of


def wyoming() -> Wyoming:
    return Wyoming(engine="pocketsphinx")


def said(actions: list[WyomingAction]) -> list[tuple[str, str]]:
    return [
        (action.event.type, str(action.event.data.get("text", "")))
        for action in actions
        if isinstance(action, SayEvent)
    ]


def spoken(translator: Wyoming, audio: bytes) -> list[WyomingAction]:
    actions = translator.receive(AudioStart(16_000, 2, 1).event())
    for start in range(0, len(audio), 333):
        piece = audio[start : start + 333]
        actions += translator.receive(AudioChunk(16_000, 2, 1, piece).event())
    return actions + translator.receive(AudioStop().event())


def test_an_utterance_is_held_from_its_first_sample_to_its_last() -> None:
    audio = bytes(range(250)) * 10
    frames = [parse_message(a.frame) for a in spoken(wyoming(), audio) if isinstance(a, Pass)]
    assert b"".join(bytes(frame.pcm) for frame in frames) == audio
    assert [frame.metadata.utterance for frame in frames[:-1]] == [Mark.HOLD] * (len(frames) - 1)
    assert (frames[-1].metadata.utterance, frames[-1].metadata.utterance_number) == (Mark.END, 1)


def test_a_transcript_is_streamed_and_whole() -> None:
    translator = wyoming()
    actions = translator.receive(Transcribe(language="en-GB").event())
    assert actions == [Set("language", "en")]
    spoken(translator, bytes(1000))
    actions = translator.hear(Partial("The new", 10)) + translator.hear(Partial("The new one", 20))
    actions += translator.hear(Utterance("The new one.", 0, 30, mark=1))
    assert said(actions) == [
        ("transcript-start", ""),
        ("transcript-chunk", "The new"),
        ("transcript-chunk", " one."),
        ("transcript", "The new one."),
        ("transcript-stop", ""),
    ]


def test_a_long_utterance_comes_in_parts_and_an_empty_one_is_answered() -> None:
    translator = wyoming()
    spoken(translator, bytes(1000))
    assert translator.hear(Utterance("One.", 0, 30)) == []
    actions = translator.hear(Utterance("Two.", 30, 60, mark=1))
    assert ("transcript", "One. Two.") in said(actions)
    spoken(translator, bytes(1000))
    assert ("transcript", "") in said(translator.hear(Utterance("", 60, 60, mark=2)))


def test_what_fails_is_told_and_the_transcript_still_ends() -> None:
    translator = wyoming()
    spoken(translator, bytes(1000))
    actions = translator.hear(Utterance("", 0, 30, mark=1, error="the engine stumbled"))
    assert [kind for kind, _ in said(actions)] == [
        "error",
        "transcript-start",
        "transcript",
        "transcript-stop",
    ]


@pytest.mark.parametrize(
    "event",
    [
        AudioStart(16_000, 5, 1).event(),
        AudioStart(1, 2, 1).event(),
        AudioChunk(16_000, 2, 1, b"\0\0").event(),
        AudioStop().event(),
        Event("audio-start", {}),
        Event("audio-start", {"rate": "fast", "width": 2, "channels": 1}),
        Event("transcribe", {"language": 7}),
        Event("transcribe", {"language": "x" * 99}),
    ],
)
def test_a_bad_event_is_answered_with_an_error(event: Event) -> None:
    assert [kind for kind, _ in said(wyoming().receive(event))] == ["error"]


def test_what_cannot_be_read_is_told_and_ends_the_connection() -> None:
    actions = wyoming().unreadable("this is no event")
    assert said(actions) == [("error", "this is no event")]
    assert isinstance(actions[-1], Close)


def test_unknown_events_are_dropped() -> None:
    assert wyoming().receive(Event("sing", {})) == []


def test_it_says_what_it_can() -> None:
    (action,) = wyoming().receive(Describe().event())
    assert isinstance(action, SayEvent)
    assert action.event.data["asr"][0]["models"][0]["name"] == "pocketsphinx"


def test_other_engines_offer_whispers_languages() -> None:
    (action,) = Wyoming(engine="faster_whisper").receive(Describe().event())
    assert isinstance(action, SayEvent)
    (model,) = action.event.data["asr"][0]["models"]
    assert model["languages"] == list(tokenizer._LANGUAGE_CODES)
    assert languages_of("pocketsphinx") == ["en"]


def test_ends() -> None:
    assert [type(action) for action in wyoming().hear(Drained())] == [Close]
    actions = wyoming().hear(Refused("busy", "full"))
    assert said(actions) == [("error", "full")]
    assert isinstance(actions[-1], Close)
