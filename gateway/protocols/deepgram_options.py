"""What a Deepgram client asks for in the query of ``/v1/listen``: taken, or refused by name.

What would change nothing of the words is ignored (formatting, hints); what a client would then look
for in vain (speakers, redaction, topics) is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from common.wire import Parameter
from gateway.protocols.audio import AudioFormat, Encoding, checked_format
from gateway.protocols.base import ProtocolError

ENCODINGS: Final = {
    "linear16": Encoding.PCM16,
    "linear32": Encoding.PCM32,
    "mulaw": Encoding.MULAW,
    "alaw": Encoding.ALAW,
}
IGNORED: Final = frozenset(
    {
        "version",
        "smart_format",
        "punctuate",
        "numerals",
        "dictation",
        "profanity_filter",
        "filler_words",
        "measurements",
        "keyterm",
        "keywords",
        "mip_opt_out",
        "extra",
        "no_delay",
        "paragraphs",
        "utt_split",
        "language_hint",
        "access_token",
        "token",
    }
)
"""Taken, without effect."""
REFUSED: Final = frozenset(
    {
        "diarize",
        "multichannel",
        "detect_entities",
        "detect_language",
        "sentiment",
        "summarize",
        "topics",
        "intents",
    }
)
"""Refused unless they are false."""
REFUSED_ALWAYS: Final = frozenset(
    {
        "callback",
        "callback_method",
        "diarize_model",
        "redact",
        "replace",
        "search",
        "custom_topic",
        "custom_topic_mode",
        "custom_intent",
        "custom_intent_mode",
    }
)
LEAST_PAUSE_MS: Final = 200
"""Shorter pauses are within words."""
LEAST_UTTERANCE_END_MS: Final = 1_000
MOST_MS: Final = 30_000
MAX_TAGS: Final = 16
MAX_TEXT_CHARS: Final = 128
SILENCE_CONFIRMATION_S: Final = 0.16
"""The recorder wants so much silence before it begins to count (its default)."""


@dataclasses.dataclass(frozen=True, slots=True)
class ListenOptions:
    """What was asked for.

    Attributes:
        format: of raw audio; None: the audio says it itself, with the header of a WAV file.
        pause_ms: silence that ends an utterance; None: the server's own, and no result is
            ``speech_final``.
    """

    model: str = "general"
    language: str = ""
    format: AudioFormat | None = None
    interim_results: bool = False
    pause_ms: int | None = LEAST_PAUSE_MS
    utterance_end_ms: int | None = None
    vad_events: bool = False
    utterances: bool = False
    tags: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Parameter]:
        """The recorder's parameters that come of it."""
        found: dict[str, Parameter] = {}
        if self.language:
            found["language"] = self.language
        if self.pause_ms is not None:
            pause_s = self.pause_ms / 1000 - SILENCE_CONFIRMATION_S
            found["post_speech_silence_duration"] = round(max(0.04, pause_s), 3)
        return found


def listen_options(query: Iterable[tuple[str, str]], *, live: bool) -> ListenOptions:
    """Read a query; of a repeated field the last counts, but all tags.

    Args:
        live: of a WebSocket; a file's utterances end at the pauses of the server's own.

    Raises:
        ProtocolError: names the field that cannot be served, and why.
    """
    fields: dict[str, str] = {}
    tags: list[str] = []
    for name, value in query:
        if name == "tag":
            tags.append(value[:MAX_TEXT_CHARS])
        else:
            fields[name] = value
    _refuse(fields)
    return ListenOptions(
        model=_text(fields, "model") or "general",
        language=_language(fields),
        format=_format(fields),
        interim_results=_flag(fields, "interim_results"),
        pause_ms=_pause_ms(fields) if live else None,
        utterance_end_ms=_utterance_end_ms(fields),
        vad_events=_flag(fields, "vad_events"),
        utterances=_flag(fields, "utterances"),
        tags=tuple(tags[:MAX_TAGS]),
    )


def _refuse(fields: dict[str, str]) -> None:
    served = {field.name for field in dataclasses.fields(ListenOptions)}
    served |= {"encoding", "sample_rate", "channels", "endpointing"}
    for name, value in fields.items():
        if name in REFUSED_ALWAYS or (name in REFUSED and not _is_off(value)):
            raise ProtocolError(f"{name} is not served here")
        if name not in served | IGNORED | REFUSED:
            raise ProtocolError(f"unknown parameter {name[:64]!r}")


def _is_off(value: str) -> bool:
    return value.lower() in ("false", "0", "")


def _flag(fields: dict[str, str], name: str) -> bool:
    value = fields.get(name, "false").lower()
    if value not in ("true", "false"):
        raise ProtocolError(f"{name} must be true or false")
    return value == "true"


def _text(fields: dict[str, str], name: str) -> str:
    value = fields.get(name, "")
    if len(value) > MAX_TEXT_CHARS or not value.isprintable():
        raise ProtocolError(f"{name} must be text of at most {MAX_TEXT_CHARS} characters")
    return value


def _language(fields: dict[str, str]) -> str:
    value = _text(fields, "language")
    if value == "multi":
        return ""
    if len(value) > 16 or not all(c.isalnum() or c in "-_" for c in value):
        raise ProtocolError("language must be a code such as en or en-US")
    return value.split("-")[0].lower()


def _number(fields: dict[str, str], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise ProtocolError(f"{name} must be a whole number")
    return int(value)


def _format(fields: dict[str, str]) -> AudioFormat | None:
    name = fields.get("encoding")
    channels = _number(fields, "channels") or 1
    rate_hz = _number(fields, "sample_rate")
    if name is None:
        return None
    if name not in ENCODINGS:
        raise ProtocolError(f"encoding must be one of {', '.join(ENCODINGS)}")
    if rate_hz is None:
        raise ProtocolError("sample_rate is needed with encoding")
    return checked_format(ENCODINGS[name], rate_hz, channels)


def _pause_ms(fields: dict[str, str]) -> int | None:
    value = fields.get("endpointing", "")
    if value.lower() == "false":
        return None
    if value.lower() in ("", "true"):
        return LEAST_PAUSE_MS
    pause_ms = _number(fields, "endpointing")
    if pause_ms is None or pause_ms > MOST_MS:
        raise ProtocolError(f"endpointing must be false, or ms up to {MOST_MS}")
    return max(LEAST_PAUSE_MS, pause_ms)


def _utterance_end_ms(fields: dict[str, str]) -> int | None:
    value = _number(fields, "utterance_end_ms")
    if value is None:
        return None
    if not LEAST_UTTERANCE_END_MS <= value <= MOST_MS:
        raise ProtocolError(f"utterance_end_ms must be from {LEAST_UTTERANCE_END_MS} to {MOST_MS}")
    if not _flag(fields, "interim_results"):
        raise ProtocolError("utterance_end_ms needs interim_results=true")
    return value
