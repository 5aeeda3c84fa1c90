"""The spoken sentences that other tests rely on."""

from __future__ import annotations

import pytest

from tests import speech
from tests.speech.make_speech import SPOKEN


def test_every_sentence_has_its_file_and_is_recognised_word_for_word() -> None:
    assert {name: sentence.recognised for name, sentence in speech.SENTENCES.items()} == SPOKEN
    assert all(sentence.spoken == sentence.recognised for sentence in speech.SENTENCES.values())


@pytest.mark.parametrize("name", speech.SENTENCES)
def test_a_sentence_loads_as_16_khz_pcm(name: str) -> None:
    sentence = speech.SENTENCES[name]
    assert len(speech.load(name)) == 2 * sentence.samples
    assert 1.0 < sentence.duration_s < 4.0


def test_silence_has_two_zero_bytes_a_sample() -> None:
    assert speech.silence(0.5) == bytes(16_000)
