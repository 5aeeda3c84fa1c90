"""Configuration of an OpenAI Realtime transcription session: read, checked, shown, put to use.

Fields that this server does not know, or that its engines have no use for, are left out of what is
shown and are no error: clients send fields that are newer than any server, and agents take every
``error`` event for the end of the stream.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from common.wire import Parameter
from gateway.protocols.audio import AudioFormat, Encoding, checked_format
from gateway.protocols.base import ProtocolError

DEFAULT_FORMAT: Final = AudioFormat(Encoding.PCM16, 24_000)
G711_RATE_HZ: Final = 8_000
_G711: Final = {"audio/pcmu": Encoding.MULAW, "audio/pcma": Encoding.ALAW}

SILENCE_CONFIRMATION_S: Final = 0.16
"""The recorder wants so much silence before it begins to count (its default)."""
EAGERNESS_SILENCE_MS: Final = {"low": 1500, "medium": 800, "auto": 800, "high": 400}
"""The recorder has no model of meaning: the more eager, the shorter the pause that ends a turn."""
MAX_SILENCE_MS: Final = 30_000
MAX_TEXT_CHARS: Final = 200


class RequestError(ProtocolError):
    """The client asked for what cannot be.

    Attributes:
        code: OpenAI's name for the mistake.
        param: the field, as a path.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


@dataclasses.dataclass(frozen=True, slots=True)
class VoiceDetection:
    """When the server ends a turn by itself.

    Attributes:
        semantic: the client asked for semantic detection with this ``eagerness``.
    """

    threshold: float = 0.5
    silence_ms: int = 500
    semantic: str = ""

    def shown(self) -> dict[str, Any]:
        """As ``turn_detection``."""
        if self.semantic:
            return {"type": "semantic_vad", "eagerness": self.semantic}
        return {
            "type": "server_vad",
            "threshold": self.threshold,
            "silence_duration_ms": self.silence_ms,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class SessionConfig:
    """What the client has set so far.

    Attributes:
        transcribes: the client wants transcripts.
        vad: None where the client commits by itself.
    """

    model: str
    language: str = ""
    format: AudioFormat = DEFAULT_FORMAT
    transcribes: bool = True
    vad: VoiceDetection | None = VoiceDetection()

    def shown(self, session_id: str) -> dict[str, Any]:
        """The session object of ``session.created`` and ``session.updated``."""
        transcription: dict[str, Any] | None = None
        if self.transcribes:
            transcription = {"model": self.model}
            if self.language:
                transcription["language"] = self.language
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "audio": {
                "input": {
                    "format": _shown_format(self.format),
                    "transcription": transcription,
                    "noise_reduction": None,
                    "turn_detection": self.vad.shown() if self.vad else None,
                }
            },
        }

    def parameters(self) -> dict[str, Parameter]:
        """The recorder's parameters that come of it."""
        found: dict[str, Parameter] = {}
        if self.language:
            found["language"] = self.language.split("-")[0].lower()  # engines know no regions
        if self.vad is not None:
            found["silero_sensitivity"] = round(1 - self.vad.threshold, 3)
            pause_s = self.vad.silence_ms / 1000 - SILENCE_CONFIRMATION_S
            found["post_speech_silence_duration"] = round(max(0.05, pause_s), 3)
        return found


def updated(config: SessionConfig, session: object) -> SessionConfig:
    """The configuration after a ``session.update``; what it does not name stays.

    Raises:
        RequestError: a field that is known has a value that cannot be.
    """
    fields = _object(session, "session")
    audio = _object(fields.get("audio") or {}, "session.audio")
    path = "session.audio.input"
    given = _object(audio.get("input") or {}, path)
    changes: dict[str, Any] = {}
    if given.get("format") is not None:
        changes["format"] = _format(given["format"], f"{path}.format")
    if "transcription" in given:
        transcription = given["transcription"]
        changes["transcribes"] = transcription is not None
        if transcription is not None:
            changes.update(_transcription(transcription, f"{path}.transcription"))
    if "turn_detection" in given:
        changes["vad"] = _detection(given["turn_detection"], f"{path}.turn_detection")
    return dataclasses.replace(config, **changes)


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestError("invalid_type", f"{path} must be an object", path)
    return value


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise RequestError(
            "invalid_type", f"{path} must be text of at most {MAX_TEXT_CHARS} characters", path
        )
    return value


def _format(value: object, path: str) -> AudioFormat:
    fields = _object(value, path)
    kind = fields.get("type", "audio/pcm")
    if kind in _G711:
        return AudioFormat(_G711[kind], G711_RATE_HZ)
    if kind != "audio/pcm":
        raise RequestError(
            "invalid_value",
            f"{path}.type must be audio/pcm, audio/pcmu or audio/pcma",
            f"{path}.type",
        )
    try:
        return checked_format(Encoding.PCM16, fields.get("rate") or DEFAULT_FORMAT.rate_hz)
    except ProtocolError as error:
        raise RequestError("invalid_value", str(error), f"{path}.rate") from None


def _shown_format(audio_format: AudioFormat) -> dict[str, Any]:
    for name, encoding in _G711.items():
        if audio_format.encoding is encoding:
            return {"type": name}
    return {"type": "audio/pcm", "rate": audio_format.rate_hz}


def _transcription(value: object, path: str) -> dict[str, Any]:
    fields = _object(value, path)
    changes = {}
    if fields.get("model") is not None:
        changes["model"] = _text(fields["model"], f"{path}.model")
    if "language" in fields:  # "" and null: the server's own, as before one was named
        changes["language"] = _text(fields["language"] or "", f"{path}.language")
    language = changes.get("language", "")
    if not all(c.isalnum() or c in "-_" for c in language) or len(language) > 16:
        raise RequestError(
            "invalid_value", f"{path}.language must be a code such as 'en'", f"{path}.language"
        )
    return changes


def _detection(value: object, path: str) -> VoiceDetection | None:
    if value is None:
        return None
    fields = _object(value, path)
    kind = fields.get("type", "server_vad")
    if kind == "semantic_vad":
        eagerness = fields.get("eagerness") or "auto"
        if eagerness not in EAGERNESS_SILENCE_MS:
            raise RequestError(
                "invalid_value",
                f"{path}.eagerness must be one of {', '.join(EAGERNESS_SILENCE_MS)}",
                f"{path}.eagerness",
            )
        return VoiceDetection(silence_ms=EAGERNESS_SILENCE_MS[eagerness], semantic=eagerness)
    if kind != "server_vad":
        raise RequestError(
            "invalid_value", f"{path}.type must be server_vad or semantic_vad", f"{path}.type"
        )
    default = VoiceDetection()
    return VoiceDetection(
        threshold=_number(fields, "threshold", default.threshold, 1, path),
        silence_ms=round(
            _number(fields, "silence_duration_ms", default.silence_ms, MAX_SILENCE_MS, path)
        ),
    )


def _number(fields: dict[str, Any], name: str, default: float, most: float, path: str) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise RequestError(
            "invalid_value", f"{path}.{name} must be a number from 0 to {most}", f"{path}.{name}"
        )
    return float(value)
