"""OpenAI's ``POST /v1/audio/transcriptions``: what a form asks for, and the answer in its form."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from common.subtitles import Cue, to_srt, to_vtt
from common.wire import Parameter
from gateway.protocols.base import ProtocolError, Utterance

MAX_TEXT_CHARS: Final = 200


class ResponseFormat(enum.StrEnum):
    """Forms of the answer."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


CONTENT_TYPES: Final = {
    ResponseFormat.JSON: "application/json",
    ResponseFormat.TEXT: "text/plain; charset=utf-8",
    ResponseFormat.SRT: "text/plain; charset=utf-8",
    ResponseFormat.VTT: "text/vtt; charset=utf-8",
    ResponseFormat.VERBOSE_JSON: "application/json",
}


class BadFieldError(ProtocolError):
    """A field of the form has a value that cannot be.

    Attributes:
        param: the field.
    """

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class TranscriptionRequest(NamedTuple):
    """What a form asks for, but for the file."""

    response_format: ResponseFormat = ResponseFormat.JSON
    language: str = ""
    stream: bool = False
    words: bool = False

    def parameters(self) -> dict[str, Parameter]:
        """The recorder's parameters that come of it."""
        return {"language": self.language.split("-")[0].lower()} if self.language else {}


def transcription_request(fields: Iterable[tuple[str, str]]) -> TranscriptionRequest:
    """Read a form's text fields; what is not known is left alone.

    ``model``, ``prompt`` and ``temperature`` are checked and have no effect: there is one engine,
    and how it decodes is the server's to say.

    Raises:
        BadFieldError: a known field cannot be read, or asks for what no engine here can do.
    """
    found = dict(fields)
    granularities = {value for name, value in fields if name.startswith("timestamp_granularities")}
    unknown = granularities - {"word", "segment"}
    if unknown:
        raise BadFieldError("timestamp_granularities", "must be word or segment")
    wanted = found.get("response_format") or ResponseFormat.JSON
    if wanted not in list(ResponseFormat):
        known = ", ".join(ResponseFormat)
        raise BadFieldError("response_format", f"response_format must be one of {known}")
    language = found.get("language", "")
    if len(language) > 16 or not all(c.isalnum() or c in "-_" for c in language):
        raise BadFieldError("language", "language must be a code such as en")
    _check_temperature(found.get("temperature") or "0")
    stream = (found.get("stream") or "false").lower()
    if stream not in ("true", "false"):
        raise BadFieldError("stream", "stream must be true or false")
    return TranscriptionRequest(
        ResponseFormat(wanted), language, stream == "true", "word" in granularities
    )


def _check_temperature(value: str) -> None:
    try:
        fits = 0 <= float(value) <= 1
    except ValueError:
        fits = False
    if not fits:
        raise BadFieldError("temperature", "temperature must be a number from 0 to 1")


def text_of(said: Iterable[Utterance]) -> str:
    """All that was said."""
    return " ".join(utterance.text for utterance in said if utterance.text)


def answer(request: TranscriptionRequest, said: Sequence[Utterance], duration_s: float) -> bytes:
    """The body of the whole answer.

    Args:
        said: the file's utterances, in order.
    """
    text = text_of(said)
    spoken = [utterance for utterance in said if utterance.text]
    cues = [Cue(u.start_ms, u.end_ms, u.text) for u in spoken]
    match request.response_format:
        case ResponseFormat.TEXT:
            return f"{text}\n".encode()
        case ResponseFormat.SRT:
            return to_srt(cues).encode()
        case ResponseFormat.VTT:
            return to_vtt(cues).encode()
        case ResponseFormat.JSON:
            return msgspec.json.encode({"text": text, "usage": _usage(duration_s)})
        case ResponseFormat.VERBOSE_JSON:
            return msgspec.json.encode(_verbose(request, spoken, text, duration_s))


def _verbose(
    request: TranscriptionRequest, spoken: Sequence[Utterance], text: str, duration_s: float
) -> dict[str, Any]:
    """Segments say what is known of them: no engine here gives probabilities or tokens."""
    segments = [
        {"id": n, "start": u.start_ms / 1000, "end": u.end_ms / 1000, "text": u.text}
        for n, u in enumerate(spoken)
    ]
    verbose: dict[str, Any] = {
        "task": "transcribe",
        "language": request.language,
        "duration": round(duration_s, 3),
        "text": text,
        "segments": segments,
        "usage": _usage(duration_s),
    }
    if request.words:
        verbose["words"] = [
            {"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000}
            for utterance in spoken
            for word in utterance.words
        ]
    return verbose


def _usage(duration_s: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(duration_s, 3)}


# -- as server-sent events ---------------------------------------------------------------------


def delta_event(utterance: Utterance, *, first: bool) -> bytes:
    """One more utterance; b"" for an empty one."""
    if not utterance.text:
        return b""
    delta = utterance.text if first else f" {utterance.text}"
    return _sent({"type": "transcript.text.delta", "delta": delta})


def done_event(said: Iterable[Utterance]) -> bytes:
    """The end, with the whole text."""
    return _sent({"type": "transcript.text.done", "text": text_of(said)})


def error_event(message: str, code: str) -> bytes:
    """Why no more follows."""
    return _sent(error_body(message, kind="server_error", code=code))


def error_body(
    message: str, *, kind: str = "invalid_request_error", code: str | None = None, param: str = ""
) -> dict[str, Any]:
    """What a request that cannot be served is answered with."""
    error = {"message": message, "type": kind, "param": param or None, "code": code}
    return {"error": error}


def models(engine: str) -> dict[str, Any]:
    """The answer of ``GET /v1/models``: what runs; "" for nothing yet."""
    running = [
        {"id": name, "object": "model", "created": 0, "owned_by": "local"}
        for name in filter(None, [engine])
    ]
    return {"object": "list", "data": running}


def _sent(event: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"
