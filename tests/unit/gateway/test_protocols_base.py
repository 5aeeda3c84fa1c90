"""The few types that every translator shares."""

from __future__ import annotations

import pytest

from gateway.protocols.base import Translator, Utterance
from gateway.protocols.deepgram import DeepgramLive, Request
from gateway.protocols.deepgram_options import ListenOptions
from gateway.protocols.openai_realtime import OpenAiRealtime


def test_an_utterance_that_silence_ended_has_no_mark() -> None:
    assert Utterance("One.", 0, 100) == ("One.", 0, 100, 0, "", ())


@pytest.mark.parametrize(
    "translator",
    [
        OpenAiRealtime(prefix="x", model="m"),
        DeepgramLive(Request("id", "now", "m"), ListenOptions(), idle_s=10),
    ],
)
def test_every_translator_of_websockets_has_the_same_face(translator: Translator) -> None:
    assert isinstance(translator.open(0.0), list)
    assert isinstance(translator.tick(0.0), list)
    assert isinstance(translator.too_large(2, 1), list)
