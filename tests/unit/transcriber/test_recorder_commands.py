"""What clients may set and call."""

from __future__ import annotations

import math

import pytest

from common.errors import CommandError
from transcriber.recorder_commands import (
    InvalidValueError,
    MethodNotAllowedError,
    ParameterNotAllowedError,
    ReadOnlyParameterError,
    Value,
    check_call,
    check_parameter,
    check_readable,
)

STOCK_PARAMETERS = [
    "language",
    "silero_sensitivity",
    "wake_word_activation_delay",
    "post_speech_silence_duration",
    "deactivity_silence_confirmation_duration",
    "listen_start",
    "recording_stop_time",
    "last_transcription_bytes",
    "last_transcription_bytes_b64",
    "speech_end_silence_start",
    "is_recording",
    "use_wake_words",
]
STOCK_METHODS = [
    "set_microphone",
    "abort",
    "stop",
    "clear_audio_queue",
    "wakeup",
    "shutdown",
    "text",
]


@pytest.mark.parametrize("name", STOCK_PARAMETERS)
def test_what_stock_servers_let_clients_read_can_be_read(name: str) -> None:
    check_readable(name)


@pytest.mark.parametrize("name", STOCK_METHODS)
def test_what_stock_servers_let_clients_call_can_be_called(name: str) -> None:
    assert check_call(name) == {}


@pytest.mark.parametrize(
    "name, value",
    [
        ("language", "de"),
        ("language", ""),
        ("language", None),
        ("silero_sensitivity", 0),
        ("silero_sensitivity", 0.4),
        ("post_speech_silence_duration", 2),
        ("use_wake_words", False),
        ("listen_start", 1.7e9),
    ],
)
def test_good_values_are_taken(name: str, value: Value) -> None:
    check_parameter(name, value)


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
        ("use_wake_words", 1),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(name: str, value: Value) -> None:
    with pytest.raises(InvalidValueError, match=f"Parameter {name} must be"):
        check_parameter(name, value)


def test_a_long_value_is_not_quoted_in_full() -> None:
    with pytest.raises(InvalidValueError) as refusal:
        check_parameter("silero_sensitivity", "x" * 10_000)
    assert len(str(refusal.value)) < 200


def test_unknown_and_read_only_names_are_refused() -> None:
    with pytest.raises(ParameterNotAllowedError, match="not allowed"):
        check_parameter("audio_queue", 1)
    with pytest.raises(ParameterNotAllowedError, match="not allowed"):
        check_readable("__class__")
    with pytest.raises(ReadOnlyParameterError, match="read-only"):
        check_parameter("is_recording", True)
    with pytest.raises(MethodNotAllowedError, match="not allowed"):
        check_call("feed_audio")


def test_arguments_are_checked_and_named() -> None:
    assert check_call("set_microphone", [False]) == {"microphone_on": False}
    assert check_call("stop", [], {"backdate_stop_seconds": 0.5}) == {"backdate_stop_seconds": 0.5}
    calls: list[tuple[str, list[Value], dict[str, Value]]] = [
        ("abort", [1], {}),
        ("set_microphone", ["on"], {}),
        ("set_microphone", [True], {"microphone_on": True}),
        ("stop", [math.nan], {}),
        ("text", [], {"on_transcription_finished": "x"}),
    ]
    for name, args, kwargs in calls:
        with pytest.raises(CommandError):
            check_call(name, args, kwargs)
