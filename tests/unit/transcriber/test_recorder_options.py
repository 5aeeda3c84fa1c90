"""What RealtimeSTT's recorder is told."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from common.recognition_settings import RecorderSettings
from transcriber.recorder.options import NOT_TOLD, recorder_arguments

BY_ANOTHER_NAME = {"unknown_sentence_detection_pause": "post_speech_silence_duration"}


@cache
def parameters_of_the_recorder() -> frozenset[str]:
    """Of ``AudioToTextRecorder.__init__``; read, since importing it takes seconds."""
    spec = importlib.util.find_spec("RealtimeSTT")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0]) / "audio_recorder.py"
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "AudioToTextRecorder":
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    arguments = [*method.args.args, *method.args.kwonlyargs]
                    return frozenset(argument.arg for argument in arguments)
    raise LookupError("AudioToTextRecorder.__init__")


def other_than(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, "changed")
    return value + "changed" if isinstance(value, str) else value + 1


def test_the_recorder_knows_every_argument() -> None:
    assert set(recorder_arguments(RecorderSettings())) <= parameters_of_the_recorder()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(RecorderSettings)])
def test_an_option_is_passed_on_by_its_name_or_is_of_our_own(name: str) -> None:
    value = other_than(getattr(RecorderSettings(), name))
    changed = recorder_arguments(dataclasses.replace(RecorderSettings(), **{name: value}))
    default = recorder_arguments(RecorderSettings())
    differing = {key for key in changed if changed[key] != default[key]}
    told = BY_ANOTHER_NAME.get(name, "" if name in NOT_TOLD else name)
    assert differing == ({told} if told else set())


def test_what_it_is_not_told_are_settings() -> None:
    assert {field.name for field in dataclasses.fields(RecorderSettings)} >= NOT_TOLD


def test_no_microphone_is_opened_and_no_file_is_written() -> None:
    arguments = recorder_arguments(RecorderSettings())
    assert arguments["use_microphone"] is False
    assert arguments["no_log_file"] is True
    assert arguments["spinner"] is False


def test_audio_that_comes_faster_than_real_time_is_not_thrown_away() -> None:
    assert recorder_arguments(RecorderSettings())["handle_buffer_overflow"] is False


def test_what_becomes_of_speech_depends_on_the_audio_alone() -> None:
    """Callbacks in threads of their own would report events in any order."""
    arguments = recorder_arguments(RecorderSettings())
    assert arguments["start_callback_in_new_thread"] is False


@pytest.mark.parametrize("backend, passed", [("none", ""), ("", ""), ("oww", "oww")])
def test_no_wake_word_backend_is_what_the_server_calls_none(backend: str, passed: str) -> None:
    arguments = recorder_arguments(RecorderSettings(wakeword_backend=backend))
    assert arguments["wakeword_backend"] == passed


@pytest.mark.parametrize(
    "paths, passed", [((), None), (("a.onnx",), "a.onnx"), (("a", "b"), "a,b")]
)
def test_wake_word_models_are_one_text_as_the_recorder_takes_them(
    paths: tuple[str, ...], passed: str | None
) -> None:
    arguments = recorder_arguments(RecorderSettings(openwakeword_model_paths=paths))
    assert arguments["openwakeword_model_paths"] == passed
