"""Which recorder parameters and methods a client may use, with their types and ranges.

The names are the allow-lists of RealtimeSTT 1.1.2's ``stt_server.py``.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from common.envelope import Parameter
from common.errors import CommandError

ALLOWED_METHODS: Final = (
    "set_microphone",
    "abort",
    "stop",
    "clear_audio_queue",
    "wakeup",
    "shutdown",
    "text",
)


class Rule(NamedTuple):
    """What a parameter accepts: a type, a range for numbers, and whether it can be set."""

    type: type
    low: float = -math.inf
    high: float = math.inf
    writable: bool = True


ALLOWED_PARAMETERS: Final[dict[str, Rule]] = {
    "language": Rule(str),
    "silero_sensitivity": Rule(float, 0.0, 1.0),
    "wake_word_activation_delay": Rule(float, 0.0, 3600.0),
    "post_speech_silence_duration": Rule(float, 0.0, 60.0),
    "deactivity_silence_confirmation_duration": Rule(float, 0.0, 60.0),
    "listen_start": Rule(float, 0.0),
    "recording_stop_time": Rule(float, 0.0),
    "last_transcription_bytes": Rule(str, writable=False),
    "last_transcription_bytes_b64": Rule(str, writable=False),
    "speech_end_silence_start": Rule(float, 0.0),
    "is_recording": Rule(bool, writable=False),
    "use_wake_words": Rule(bool),
}

MAX_TEXT: Final = 64


def validated(name: object, value: Parameter) -> Parameter:
    """The value to set, as the recorder's own type.

    Raises:
        CommandError: not on the allow-list, read-only, or of a wrong type or range; worded as
            stock servers word it where they do.
    """
    rule = ALLOWED_PARAMETERS.get(name) if isinstance(name, str) else None
    if rule is None:
        raise CommandError(f"Parameter {name} is not allowed (set_parameter)")
    if not rule.writable:
        raise CommandError(f"Parameter {name} is read-only (set_parameter)")
    return _converted(str(name), value, rule)


def _converted(name: str, value: Parameter, rule: Rule) -> Parameter:
    if rule.type is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CommandError(f"Parameter {name} must be a number, got {value!r:.40}")
        if not math.isfinite(value) or not rule.low <= value <= rule.high:
            raise CommandError(
                f"Parameter {name} must be from {rule.low:g} to {rule.high:g}, got {value!r:.40}"
            )
        return float(value)
    if rule.type is bool:
        if value not in (True, False):
            raise CommandError(f"Parameter {name} must be true or false, got {value!r:.40}")
        return bool(value)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise CommandError(
            f"Parameter {name} must be a text of at most {MAX_TEXT} characters, got {value!r:.40}"
        )
    return value


def check_readable(name: object) -> str:
    """The name of a parameter that may be read.

    Raises:
        CommandError: not on the allow-list.
    """
    if not isinstance(name, str) or name not in ALLOWED_PARAMETERS:
        raise CommandError(f"Parameter {name} is not allowed (get_parameter)")
    return name


def check_method(name: object) -> str:
    """The name of a method that may be called.

    Raises:
        CommandError: not on the allow-list.
    """
    if not isinstance(name, str) or name not in ALLOWED_METHODS:
        raise CommandError(f"Method {name} is not allowed")
    return name
