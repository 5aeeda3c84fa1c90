"""The parameters and methods of a recorder that clients may use, and what they may pass.

The names are those that RealtimeSTT's ``stt-server`` allows. It sets whatever it is sent; here a
value is checked first, so that no client can make a recorder's thread fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from common.errors import CommandError

Value = None | bool | int | float | str | list["Value"]
"""What JSON and msgpack both carry."""

Check = Callable[[Value], str]
"""Says what a value must be, or "" when it is that."""


class ParameterNotAllowedError(CommandError):
    """Clients may not use this parameter."""


class ReadOnlyParameterError(CommandError):
    """The recorder sets this parameter itself."""


class InvalidValueError(CommandError):
    """A parameter's value or a method's argument has the wrong type or range."""


class MethodNotAllowedError(CommandError):
    """Clients may not call this method."""


def _number(low: float, high: float) -> Check:
    def check(value: Value) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return ""  # NaN and infinity compare false
        return f"a number from {low:g} to {high:g}"

    return check


def _language(value: Value) -> str:
    if value is None or (isinstance(value, str) and len(value) <= 16 and value.isprintable()):
        return ""
    return "a language code such as 'en', or '' to detect it"


def _boolean(value: Value) -> str:
    return "" if isinstance(value, bool) else "true or false"


_TIME: Final = _number(0, 1e11)

WRITABLE: Final[Mapping[str, Check]] = {
    "language": _language,
    "silero_sensitivity": _number(0, 1),
    "wake_word_activation_delay": _number(0, 3600),
    "post_speech_silence_duration": _number(0, 60),
    "deactivity_silence_confirmation_duration": _number(0, 60),
    "listen_start": _TIME,
    "recording_stop_time": _TIME,
    "use_wake_words": _boolean,
}
READ_ONLY: Final = frozenset(
    {
        "last_transcription_bytes",
        "last_transcription_bytes_b64",
        "speech_end_silence_start",
        "is_recording",
    }
)
TIMES: Final = frozenset({"listen_start", "recording_stop_time", "speech_end_silence_start"})
"""Seconds since 1970 to a client, audio time to the recorder; 0 is "never" to both."""

_SECONDS: Final = _number(0, 60)
METHODS: Final[Mapping[str, Mapping[str, Check]]] = {
    "set_microphone": {"microphone_on": _boolean},
    "abort": {},
    "stop": {"backdate_stop_seconds": _SECONDS, "backdate_resume_seconds": _SECONDS},
    "clear_audio_queue": {},
    "wakeup": {},
    "shutdown": {},
    "text": {},
}
"""Methods and their arguments, in order; all are optional."""


def check_readable(name: str, command: str = "get_parameter") -> None:
    """Refuse a parameter that clients may not use.

    Raises:
        ParameterNotAllowedError
    """
    if name not in WRITABLE and name not in READ_ONLY:
        raise ParameterNotAllowedError(f"Parameter {name} is not allowed ({command})")


def check_parameter(name: str, value: Value) -> None:
    """Refuse a parameter or a value that may not be set.

    Raises:
        ParameterNotAllowedError, ReadOnlyParameterError, InvalidValueError
    """
    check_readable(name, "set_parameter")
    if name in READ_ONLY:
        raise ReadOnlyParameterError(f"Parameter {name} is read-only")
    expected = WRITABLE[name](value)
    if expected:
        raise InvalidValueError(f"Parameter {name} must be {expected}, not {_shown(value)}")


def check_call(
    name: str, args: Sequence[Value] = (), kwargs: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """The arguments of a call by name.

    Raises:
        MethodNotAllowedError, InvalidValueError
    """
    if name not in METHODS:
        raise MethodNotAllowedError(f"Method {name} is not allowed")
    checks = METHODS[name]
    if len(args) > len(checks):
        raise InvalidValueError(f"Method {name} takes at most {len(checks)} arguments")
    arguments = dict(zip(checks, args, strict=False))
    for key, value in (kwargs or {}).items():
        if key not in checks or key in arguments:
            raise InvalidValueError(f"Method {name} takes no argument {_shown(key)} here")
        arguments[key] = value
    for key, value in arguments.items():
        expected = checks[key](value)
        if expected:
            raise InvalidValueError(f"Argument {key} must be {expected}, not {_shown(value)}")
    return arguments


def _shown(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
