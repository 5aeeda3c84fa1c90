"""What clients may set, read and call."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.envelope import Parameter
from common.errors import CommandError
from common.parameters import (
    METHODS,
    READ_ONLY,
    WRITABLE,
    InvalidValueError,
    MethodNotAllowedError,
    ParameterNotAllowedError,
    ReadOnlyParameterError,
    checked_call,
    checked_value,
    readable_name,
)


def stock_list(name: str) -> list[str]:
    """A list that the installed package's server declares, read without importing it."""
    spec = importlib.util.find_spec("RealtimeSTT_server")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0]) / "stt_server.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            found: list[str] = ast.literal_eval(node.value)
            return found
    raise AssertionError(f"{name} is not in {source}")


def test_the_allow_lists_are_those_of_the_installed_stock_server() -> None:
    assert {*WRITABLE, *READ_ONLY} == set(stock_list("allowed_parameters"))
    assert set(METHODS) == set(stock_list("allowed_methods"))


@pytest.mark.parametrize("name", [*WRITABLE, *sorted(READ_ONLY)])
def test_every_one_of_them_can_be_read(name: str) -> None:
    assert readable_name(name) == name


@pytest.mark.parametrize("name", METHODS)
def test_every_one_of_them_can_be_called_without_arguments(name: str) -> None:
    assert checked_call(name) == {}


@pytest.mark.parametrize(
    "name, value, taken",
    [
        ("language", "de", "de"),
        ("language", "", ""),
        ("language", None, ""),
        ("silero_sensitivity", 0, 0.0),
        ("silero_sensitivity", 0.4, 0.4),
        ("post_speech_silence_duration", 2, 2.0),
        ("use_wake_words", False, False),
        ("use_wake_words", 0, False),
        ("listen_start", 1.7e9, 1.7e9),
    ],
)
def test_good_values_are_taken_in_the_recorders_own_type(
    name: str, value: Parameter, taken: Parameter
) -> None:
    result = checked_value(name, value)
    assert result == taken
    assert type(result) is type(taken)


@pytest.mark.parametrize(
    "name, value",
    [
        ("language", 5),
        ("language", "x" * 17),
        ("language", "e\n"),
        ("silero_sensitivity", 1.5),
        ("silero_sensitivity", -0.1),
        ("silero_sensitivity", True),
        ("silero_sensitivity", "0.4"),
        ("silero_sensitivity", None),
        ("silero_sensitivity", math.nan),
        ("post_speech_silence_duration", math.inf),
        ("post_speech_silence_duration", [1]),
        ("use_wake_words", 2),
        ("use_wake_words", 1.0),
        ("silero_sensitivity", 10**400),
        ("silero_sensitivity", [[[[]]]]),
        ("language", "\ud800"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(name: str, value: Parameter) -> None:
    with pytest.raises(InvalidValueError, match=f"Parameter {name} must be"):
        checked_value(name, value)


def test_a_long_value_is_not_quoted_in_full() -> None:
    with pytest.raises(InvalidValueError) as refusal:
        checked_value("silero_sensitivity", "x" * 10_000)
    assert len(str(refusal.value)) < 200


def test_unknown_and_read_only_names_are_refused() -> None:
    with pytest.raises(ParameterNotAllowedError, match="not allowed"):
        checked_value("audio_queue", 1)
    with pytest.raises(ParameterNotAllowedError, match="not allowed"):
        readable_name("__class__")
    with pytest.raises(ReadOnlyParameterError, match="read-only"):
        checked_value("is_recording", True)
    with pytest.raises(MethodNotAllowedError, match="not allowed"):
        checked_call("feed_audio")


def test_arguments_are_checked_and_named() -> None:
    assert checked_call("set_microphone", [False]) == {"microphone_on": False}
    assert checked_call("stop", [], {"backdate_stop_seconds": 0.5}) == {
        "backdate_stop_seconds": 0.5
    }
    calls: list[tuple[str, list[Parameter], dict[str, Parameter]]] = [
        ("abort", [1], {}),
        ("set_microphone", ["on"], {}),
        ("set_microphone", [True], {"microphone_on": True}),
        ("stop", [math.nan], {}),
        ("text", [], {"on_transcription_finished": "x"}),
    ]
    for name, args, kwargs in calls:
        with pytest.raises(CommandError):
            checked_call(name, args, kwargs)


WORDS: Final = st.sampled_from([*WRITABLE, *READ_ONLY, *METHODS, "microphone_on"]) | st.text()
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=10,
)


@settings(deadline=None)  # machines may be busy
@given(name=WORDS | JSON, value=JSON)
def test_whatever_is_set_it_is_taken_or_refused_in_few_words(name: object, value: object) -> None:
    assert is_modest(lambda: checked_value(name, value))


@settings(deadline=None)  # machines may be busy
@given(name=WORDS | JSON, args=JSON, kwargs=JSON)
def test_whatever_is_called_it_is_taken_or_refused_in_few_words(
    name: object, args: object, kwargs: object
) -> None:
    assert is_modest(lambda: checked_call(name, args, kwargs))


def is_modest(check: Callable[[], object]) -> bool:
    """Whether a check gives something that JSON can carry, or refuses without long quotations."""
    try:
        taken = check()
    except CommandError as refusal:
        return len(str(refusal)) < 300
    return bool(json.dumps(taken, allow_nan=False))
