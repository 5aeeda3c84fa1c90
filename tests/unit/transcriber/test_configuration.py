"""Every setting of the transcriber arrives where it has its effect."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest

from common.settings import STOCK_INITIAL_PROMPT, StageSettings, TranscriberSettings
from transcriber.configuration import engine_options, recorder_options
from transcriber.engines.options import EngineOptions
from transcriber.recorder.options import RecorderOptions

OF_THE_STAGE: Final = {
    *(field.name for field in dataclasses.fields(StageSettings)),
    "advertise_host",
    "audio",
    "commands",
    "session_grace_s",
    "tap_dir",
    "transcriber_sessions",
} - {"use_extended_logging"}
"""Settings that concern neither engines nor recorders."""

WITHOUT_A_SETTING: Final = {
    # Of the recorder: fixed, or bounds of our own.
    "ensure_sentence_ends_with_period",
    "ensure_sentence_starting_uppercase",
    "final_attempts",
    "max_recording_s",
    "max_waiting_chunks",
    "max_waiting_finals",
    "pre_recording_buffer_duration",
    # Of the engines.
    "normalize_audio",
}


def other_than(value: Any) -> Any:
    """A value of the same type that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "changed"
        case list():
            return [*value, *(value or ["changed"])]
    raise TypeError(f"what differs from {value!r}?")


DEFAULTS: Final = TranscriberSettings()
CONFIGURABLE: Final = sorted(
    field.name
    for field in dataclasses.fields(TranscriberSettings)
    if field.name not in OF_THE_STAGE
)


def changed(name: str) -> TranscriberSettings:
    """Settings of which one differs from its default."""
    values = {name: other_than(getattr(DEFAULTS, name))}
    return dataclasses.replace(DEFAULTS, **values)


@pytest.mark.parametrize("name", CONFIGURABLE)
def test_a_changed_setting_changes_the_options_to_its_value(name: str) -> None:
    settings = changed(name)
    differences = []
    for make in (engine_options, recorder_options):
        before, after = make(DEFAULTS), make(settings)
        differences += [
            getattr(after, field.name)
            for field in dataclasses.fields(after)
            if getattr(after, field.name) != getattr(before, field.name)
        ]
    value = getattr(settings, name)
    expected = tuple(value) if isinstance(value, list) else value
    assert differences
    assert all(difference == expected for difference in differences)


@pytest.mark.parametrize("make", [engine_options, recorder_options])
def test_every_option_has_a_setting_or_is_known_to_have_none(make: Any) -> None:
    everything = {name: other_than(getattr(DEFAULTS, name)) for name in CONFIGURABLE}
    before, after = make(DEFAULTS), make(dataclasses.replace(DEFAULTS, **everything))
    unmoved = {
        field.name
        for field in dataclasses.fields(before)
        if getattr(before, field.name) == getattr(after, field.name)
    }
    assert unmoved <= WITHOUT_A_SETTING


def test_the_options_defaults_are_those_of_the_settings() -> None:
    """So that a recorder made in a test is one that a user gets."""
    assert (
        dataclasses.replace(
            recorder_options(DEFAULTS), wakeword_backend="", openwakeword_inference_framework="onnx"
        )
        == RecorderOptions()
    )
    assert dataclasses.replace(engine_options(DEFAULTS), initial_prompt="") == EngineOptions()
    assert engine_options(DEFAULTS).initial_prompt == STOCK_INITIAL_PROMPT


def test_a_line_break_in_a_prompt_can_be_typed_on_the_command_line() -> None:
    """As RealtimeSTT's server reads it."""
    settings = TranscriberSettings(initial_prompt=r"One.\nTwo.", initial_prompt_realtime=r"a\nb")
    options = engine_options(settings)
    assert options.initial_prompt == "One.\nTwo."
    assert options.initial_prompt_realtime == "a\nb"


def test_options_are_safe_to_share() -> None:
    """All sessions get the same ones."""
    for options in (engine_options(DEFAULTS), recorder_options(DEFAULTS)):
        hash(options)
