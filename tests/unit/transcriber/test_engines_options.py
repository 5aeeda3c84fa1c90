"""Which engine is chosen."""

from __future__ import annotations

import pytest

from transcriber.engines.options import EngineOptions


def test_without_a_choice_it_is_the_embedded_engine_that_needs_no_download() -> None:
    assert EngineOptions().name == "pocketsphinx"


@pytest.mark.parametrize("model", ["tiny", "large-v2", "/models/mine"])
def test_a_model_chooses_faster_whisper(model: str) -> None:
    assert EngineOptions(model=model).name == "faster_whisper"


def test_a_model_of_partials_alone_chooses_nothing() -> None:
    """It has a default."""
    assert EngineOptions(realtime_model="small").name == "pocketsphinx"


def test_an_engine_that_is_named_wins_over_what_the_model_suggests() -> None:
    assert EngineOptions(engine="pocketsphinx", model="tiny").name == "pocketsphinx"
    assert EngineOptions(engine="openai_whisper", model="tiny").name == "openai_whisper"


@pytest.mark.parametrize(
    "spelling", ["faster_whisper", "faster-whisper", "Faster-Whisper", " FASTER_WHISPER "]
)
def test_names_are_taken_in_any_spelling_that_realtimestts_factory_takes(spelling: str) -> None:
    assert EngineOptions(engine=spelling).name == "faster_whisper"
