"""OpenAI Realtime, transcription sessions, in the shape of its general availability.

``/v1/realtime?intent=transcription``, or with ``?model=``. The server speaks first.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final

import msgspec

from common.parameters import DEFAULT_LANGUAGE
from common.wire import Mark
from gateway.protocols.audio import FrameMaker
from gateway.protocols.base import (
    Action,
    Close,
    Drained,
    Heard,
    Partial,
    Pass,
    Refused,
    Say,
    Set,
    SpeechStarted,
    SpeechStopped,
    Utterance,
)
from gateway.protocols.openai_items import Items
from gateway.protocols.openai_session import RequestError, SessionConfig, updated

MAX_ID_CHARS: Final = 512
GOING_AWAY, POLICY_VIOLATION, TRY_AGAIN_LATER = 1001, 1008, 1013


class OpenAiRealtime:
    """One connection of ``/v1/realtime``.

    Args:
        prefix: random text that its ids begin with.
        model: the name of what transcribes, where the client names none.
    """

    def __init__(self, *, prefix: str, model: str) -> None:
        self._prefix = prefix
        self._events = 0
        self._config = SessionConfig(model)
        self._items = Items(prefix)
        self._maker = FrameMaker(self._config.format)
        self._marks = 0
        self._marked_ms = 0.0
        self._uncommitted = False

    # -- the client ----------------------------------------------------------------------------

    def open(self, now_s: float) -> list[Action]:
        """The first event, and the recorder's parameters that make it true."""
        return [self._session_event("session.created"), *self._parameters(None)]

    def receive(self, message: str | bytes, now_s: float) -> list[Action]:
        """A client event."""
        event_id: str | None = None
        try:
            event = _decoded(message)
            given = event.get("event_id")
            event_id = given[:MAX_ID_CHARS] if isinstance(given, str) else None
            return self._act_on(event)
        except RequestError as error:
            return [self._error(error, event_id)]

    def too_large(self, size: int, limit: int) -> list[Action]:
        """A message over the limit was not read."""
        message = f"the event has {size} bytes, at most {limit} are taken"
        return [self._error(RequestError("event_too_large", message), None)]

    def tick(self, now_s: float) -> list[Action]:
        """Nothing here goes by time; what waits to be joined with more audio goes out."""
        return _passed(self._maker.flush())

    def _act_on(self, event: dict[str, Any]) -> list[Action]:
        match event.get("type"):
            case "input_audio_buffer.append":
                return self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                return self._commit()
            case "input_audio_buffer.clear":
                return self._clear()
            case "session.update":
                return self._update(event.get("session"))
            case str() as kind:
                raise RequestError(
                    "unsupported_event",
                    f"this server transcribes only; it does not know {kind[:64]!r}",
                    "type",
                )
            case _:
                raise RequestError("missing_required_parameter", "the event has no type", "type")

    def _append(self, audio: object) -> list[Action]:
        if not isinstance(audio, str):
            raise RequestError("invalid_value", "audio must be base64 text", "audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestError("invalid_value", f"audio is not base64: {error}", "audio") from None
        manual = self._config.vad is None
        if data:
            self._uncommitted = True
            if manual:
                self._items.hold()
        return _passed(self._maker.take(data, held=manual))

    def _commit(self) -> list[Action]:
        if not self._uncommitted:
            raise RequestError(
                "input_audio_buffer_commit_empty",
                "the input audio buffer is empty: nothing was appended since the last commit",
            )
        frames = self._mark(Mark.END)
        return [*_passed(frames), *self._said(self._items.commit(self._marks))]

    def _clear(self) -> list[Action]:
        frames: list[bytes] = []
        if self._uncommitted:
            frames = self._mark(Mark.DISCARD)
            self._items.discard(self._marks)
        return [*_passed(frames), self._event({"type": "input_audio_buffer.cleared"})]

    def _update(self, session: object) -> list[Action]:
        before, self._config = self._config, updated(self._config, session)
        frames: list[bytes] = []
        if before.vad is None and self._config.vad is not None and self._uncommitted:
            frames = self._mark(Mark.END)
            self._items.settle(self._marks)
        frames += self._maker.change(self._config.format)
        self._items.transcribes = self._config.transcribes
        return [
            *_passed(frames),
            *self._parameters(before),
            self._session_event("session.updated"),
        ]

    def _mark(self, mark: Mark) -> list[bytes]:
        self._marks += 1
        self._uncommitted = False
        self._marked_ms = self._maker.position_ms
        return self._maker.mark(mark, self._marks)

    # -- the session ---------------------------------------------------------------------------

    def hear(self, heard: Heard) -> list[Action]:
        """What the session says, as events."""
        manual = self._config.vad is None
        match heard:
            case SpeechStarted():
                if manual or self._is_before_mark(heard.at_ms):
                    return []
                return self._said(self._items.speech_started(heard))
            case SpeechStopped():
                if self._is_before_mark(heard.at_ms):
                    return []
                return self._said(self._items.speech_stopped(heard))
            case Partial():
                if self._is_before_mark(heard.at_ms):
                    return []
                return self._said(self._items.partial(heard))
            case Utterance():
                return self._said(self._items.utterance(heard))
            case Drained():
                return [Close(GOING_AWAY, "the server is stopping")]
            case Refused():
                error = RequestError(heard.code, heard.message)
                code = TRY_AGAIN_LATER if heard.code == "busy" else POLICY_VIOLATION
                return [self._error(error, None, "server_error"), Close(code, heard.message)]

    # -- within --------------------------------------------------------------------------------

    def _is_before_mark(self, at_ms: int) -> bool:
        """Whether an event is of audio that the client's last mark has dealt with already."""
        return self._marks > 0 and at_ms <= math.ceil(self._marked_ms)

    def _parameters(self, before: SessionConfig | None) -> list[Action]:
        known = before.parameters() if before is not None else {}
        wanted = self._config.parameters()
        if "language" in known:
            wanted.setdefault("language", DEFAULT_LANGUAGE)
        return [Set(name, value) for name, value in wanted.items() if known.get(name) != value]

    def _session_event(self, kind: str) -> Say:
        return self._event({"type": kind, "session": self._config.shown(f"sess_{self._prefix}")})

    def _error(
        self, error: RequestError, event_id: str | None, kind: str = "invalid_request_error"
    ) -> Say:
        return self._event(
            {
                "type": "error",
                "error": {
                    "type": kind,
                    "code": error.code,
                    "message": str(error),
                    "param": error.param,
                    "event_id": event_id,
                },
            }
        )

    def _said(self, events: list[dict[str, Any]]) -> list[Action]:
        return [self._event(event) for event in events]

    def _event(self, event: dict[str, Any]) -> Say:
        self._events += 1
        return Say({"event_id": f"event_{self._prefix}{self._events:06d}", **event})


def _passed(frames: list[bytes]) -> list[Action]:
    return [Pass(frame) for frame in frames]


def _decoded(message: str | bytes) -> dict[str, Any]:
    """A client event.

    Raises:
        RequestError: it is not the text of a JSON object.
    """
    if isinstance(message, bytes):
        raise RequestError("invalid_event", "events are JSON text, not binary messages")
    try:
        event = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise RequestError("invalid_json", f"the event is not JSON: {error}") from None
    if not isinstance(event, dict):
        raise RequestError("invalid_event", "the event is not a JSON object")
    return event
