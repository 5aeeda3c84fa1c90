"""Which engine is chosen, and what is kept of RealtimeSTT's options."""

from __future__ import annotations

import pytest

from common.options import parse
from common.recognition_settings import STOCK_INITIAL_PROMPT, EngineSettings
from common.settings import TranscriberSettings


def test_without_a_choice_it_is_the_embedded_engine_that_needs_no_download() -> None:
    assert EngineSettings().engine_name == "pocketsphinx"


@pytest.mark.parametrize("model", ["tiny", "large-v2", "/models/mine"])
def test_a_model_chooses_faster_whisper(model: str) -> None:
    assert EngineSettings(model=model).engine_name == "faster_whisper"


def test_a_model_of_partials_alone_chooses_nothing() -> None:
    """It has a default."""
    assert EngineSettings(rt_model="small").engine_name == "pocketsphinx"


def test_an_engine_that_is_named_wins_over_what_the_model_suggests() -> None:
    assert EngineSettings(engine="pocketsphinx", model="tiny").engine_name == "pocketsphinx"
    assert EngineSettings(engine="openai_whisper", model="tiny").engine_name == "openai_whisper"


@pytest.mark.parametrize(
    "spelling", ["faster_whisper", "faster-whisper", "Faster-Whisper", " FASTER_WHISPER "]
)
def test_names_are_taken_in_any_spelling_that_realtimestts_factory_takes(spelling: str) -> None:
    assert EngineSettings(engine=spelling).engine_name == "faster_whisper"


def test_a_line_break_in_a_prompt_can_be_typed_on_the_command_line() -> None:
    """As RealtimeSTT's server reads it."""
    argv = ["--initial_prompt", r"One.\nTwo.", "--initial_prompt_realtime", r"a\nb"]
    settings = parse(TranscriberSettings, argv, prog="x", description="")
    assert settings.initial_prompt == "One.\nTwo."
    assert settings.initial_prompt_realtime == "a\nb"


def test_the_prompt_is_that_of_the_stock_server() -> None:
    assert TranscriberSettings().initial_prompt == STOCK_INITIAL_PROMPT
