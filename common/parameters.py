"""The recorder parameters and methods that clients may use, and what they may pass.

The names are those that RealtimeSTT 1.1.2's ``stt-server`` allows, and refusals are worded as it
words them. It sets whatever it is sent; here a value is checked first, at the gateway and again
where the recorder is, so that no client can make a recorder's thread fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from common.envelope import Parameter
from common.errors import CommandError

DEFAULT_LANGUAGE: Final = "default"
"""In place of a code: the language that the server was started with."""
MAX_QUOTED_CHARS: Final = 64
"""Names and values are quoted up to this length in replies."""


class ParameterNotAllowedError(CommandError):
    """Clients may not use this parameter."""


class ReadOnlyParameterError(CommandError):
    """The recorder sets this parameter itself."""


class InvalidValueError(CommandError):
    """A parameter's value or a method's argument has the wrong type or range."""


class MethodNotAllowedError(CommandError):
    """Clients may not call this method."""


class _WrongValueError(Exception):
    """Says what a value must be."""


Check = Callable[[Parameter], Parameter]
"""Gives a value in the recorder's own type, or raises what it must be."""


def _number(low: float, high: float) -> Check:
    def check(value: Parameter) -> Parameter:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and low <= value <= high:  # type: ignore[operator]  # NaN compares false
            return float(value)  # type: ignore[arg-type]
        raise _WrongValueError(f"a number from {low:g} to {high:g}")

    return check


def _language(value: Parameter) -> Parameter:
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= 16 and value.isprintable():
        return value
    raise _WrongValueError("a language code such as 'en', or '' to detect it")


def _boolean(value: Parameter) -> Parameter:
    # The stock `stt` command has no other way to say true and false than 1 and 0.
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise _WrongValueError("true or false")


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
"""Seconds since 1970 to a client, audio time to the recorder; 0 is "never" to both. The recorder
goes on to change them itself: they are states, not settings."""

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


def readable_name(name: object, command: str = "get_parameter") -> str:
    """The name of a parameter that clients may read.

    Raises:
        ParameterNotAllowedError
    """
    if not isinstance(name, str) or (name not in WRITABLE and name not in READ_ONLY):
        raise ParameterNotAllowedError(f"Parameter {quoted(name)} is not allowed ({command})")
    return name


def checked_value(name: object, value: object) -> Parameter:
    """A value to set, in the recorder's own type (1 becomes 1.0, no language becomes "").

    Raises:
        ParameterNotAllowedError, ReadOnlyParameterError, InvalidValueError
    """
    name = readable_name(name, "set_parameter")
    if name in READ_ONLY:
        raise ReadOnlyParameterError(f"Parameter {name} is read-only (set_parameter)")
    return _checked(f"Parameter {name}", WRITABLE[name], value)


def method_name(name: object) -> str:
    """The name of a method that clients may call.

    Raises:
        MethodNotAllowedError
    """
    if not isinstance(name, str) or name not in METHODS:
        raise MethodNotAllowedError(f"Method {quoted(name)} is not allowed")
    return name


def checked_call(name: object, args: object = (), kwargs: object = None) -> dict[str, Parameter]:
    """The arguments of a call by name, in the recorder's own types.

    Raises:
        MethodNotAllowedError, InvalidValueError
    """
    checks = METHODS[method_name(name)]
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping | None):
        raise InvalidValueError("args must be a list and kwargs an object")
    if len(args) > len(checks):
        raise InvalidValueError(f"Method {name} takes at most {len(checks)} arguments")
    arguments: dict[str, object] = dict(zip(checks, args, strict=False))
    for key, value in (kwargs or {}).items():
        if key not in checks or key in arguments:
            raise InvalidValueError(f"Method {name} takes no argument {quoted(key)} here")
        arguments[key] = value
    return {key: _checked(f"Argument {key}", checks[key], arguments[key]) for key in arguments}


def quoted(value: object) -> str:
    """A client's word as a message may repeat it: not longer than is worth reading."""
    return _cut(value if isinstance(value, str) else _shown(value))


def _checked(what: str, check: Check, value: object) -> Parameter:
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    try:
        return check(value)  # type: ignore[arg-type]  # that it may be anything is the point
    except _WrongValueError as expected:
        raise InvalidValueError(f"{what} must be {expected}, not {_shown(value)}") from None


def _shown(value: object) -> str:
    if isinstance(value, list | dict):  # may be too deep to print
        return "a list" if isinstance(value, list) else "an object"
    try:
        return _cut(repr(value))
    except ValueError:  # an integer of thousands of digits
        return "a huge number"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED_CHARS else text[: MAX_QUOTED_CHARS - 1] + "…"
