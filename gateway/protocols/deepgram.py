"""Deepgram's ``/v1/listen``, live: audio in binary messages, commands and results as JSON text."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from common.wire import Mark
from gateway.protocols.audio import FrameMaker
from gateway.protocols.base import (
    Action,
    Close,
    Drained,
    Finish,
    Heard,
    Partial,
    Pass,
    ProtocolError,
    Refused,
    Say,
    Set,
    SpeechStarted,
    SpeechStopped,
    Utterance,
    Word,
)
from gateway.protocols.deepgram_options import ListenOptions
from gateway.protocols.wav_header import MAX_HEADER_BYTES, read_wav_header

CHANNEL: Final = [0, 1]
NORMAL, POLICY_VIOLATION, INTERNAL, TRY_AGAIN_LATER = 1000, 1008, 1011, 1013


class Request(NamedTuple):
    """What the results of one request say of it.

    Attributes:
        id: random, in the form of a UUID.
        created: ISO 8601, UTC.
        engine: the name of what transcribes.
    """

    id: str
    created: str
    engine: str

    @property
    def model_info(self) -> dict[str, str]:
        """Of the one model that there is."""
        return {"name": self.engine, "version": "1", "arch": self.engine}


class DeepgramLive:
    """One WebSocket connection of ``/v1/listen``.

    Args:
        idle_s: without audio or a message for so long the connection is closed.
    """

    def __init__(self, request: Request, options: ListenOptions, *, idle_s: float) -> None:
        self._request = request
        self._options = options
        self._idle_s = idle_s
        self._maker = FrameMaker(options.format) if options.format is not None else None
        self._head = b""
        self._sha256 = hashlib.sha256()
        self._finalized = 0
        self._end_ms = 0  # of what was final last
        self._due_ms: float | None = None  # of an UtteranceEnd
        self._heard_s = 0.0
        self._finishing = False

    # -- the client ----------------------------------------------------------------------------

    def open(self, now_s: float) -> list[Action]:
        """The recorder's parameters."""
        self._heard_s = now_s
        return [Set(name, value) for name, value in self._options.parameters().items()]

    def receive(self, message: str | bytes, now_s: float) -> list[Action]:
        """Audio, or a command."""
        self._heard_s = now_s
        if self._finishing:
            return []
        if isinstance(message, str):
            return self._command(message)
        if not message:  # as old clients close a stream
            return self._finish()
        return self._audio(message)

    def too_large(self, size: int, limit: int) -> list[Action]:
        """A message over the limit was not read."""
        text = f"a message of {size} bytes is over the limit of {limit}"
        return [self._complaint("MessageTooLarge", text, "")]

    def tick(self, now_s: float) -> list[Action]:
        """A client that sends nothing is told so and let go."""
        if not self._finishing and now_s - self._heard_s > self._idle_s:
            reason = f"NET-0001: neither audio nor a message came within {self._idle_s:g} s"
            return [Close(INTERNAL, reason)]
        return _passed(self._maker.flush()) if self._maker is not None else []

    def _audio(self, data: bytes) -> list[Action]:
        self._sha256.update(data)
        if self._maker is None:
            self._head += data
            try:
                found = read_wav_header(self._head)
            except ProtocolError as error:
                return self._unusable(str(error))
            if found is None:
                if len(self._head) > MAX_HEADER_BYTES:
                    return self._unusable("the WAV header does not end")
                return []
            audio_format, begin = found
            self._maker = FrameMaker(audio_format)
            data, self._head = self._head[begin:], b""
        frames = self._maker.take(data)
        return [*_passed(frames), *self._utterance_end()]

    def _unusable(self, text: str) -> list[Action]:
        self._finishing = True
        reason = f"DATA-0000: {text}; name encoding and sample_rate in the query"
        return [self._complaint("DataError", reason, ""), Close(POLICY_VIOLATION, reason)]

    def _command(self, text: str) -> list[Action]:
        try:
            command = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            command = None
        match command.get("type") if isinstance(command, dict) else None:
            case "KeepAlive":
                return []
            case "Finalize":
                return self._finalize()
            case "CloseStream":
                return self._finish()
            case "Configure":
                return [
                    Say(
                        {
                            "type": "ConfigureFailure",
                            "request_id": self._request.id,
                            "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                            "description": "key terms have no effect on this server's engines",
                        }
                    )
                ]
            case _:
                return [self._complaint("SchemaError", "this message is not understood", text)]

    def _finalize(self) -> list[Action]:
        self._finalized += 1
        if self._maker is None:  # no audio yet
            return [self._results("", 0, 0, is_final=True, from_finalize=True)]
        return _passed(self._maker.mark(Mark.END, self._finalized, is_one_stream=True))

    def _finish(self) -> list[Action]:
        self._finishing = True
        frames = self._maker.flush() if self._maker is not None else []
        return [*_passed(frames), Finish()]

    def _complaint(self, variant: str, description: str, message: str) -> Say:
        return Say(
            {
                "type": "Error",
                "variant": variant,
                "description": description,
                "message": message[:200],
            }
        )

    # -- the session ---------------------------------------------------------------------------

    def hear(self, heard: Heard) -> list[Action]:
        """What the session says, as Deepgram words it."""
        match heard:
            case SpeechStarted():
                self._due_ms = None
                if not self._options.vad_events:
                    return []
                timestamp = heard.at_ms / 1000
                return [Say({"type": "SpeechStarted", "channel": CHANNEL, "timestamp": timestamp})]
            case SpeechStopped():
                return []
            case Partial():
                if not self._options.interim_results:
                    return []
                end_ms = max(heard.at_ms, self._end_ms)
                return [self._results(heard.text, self._end_ms, end_ms, is_final=False)]
            case Utterance():
                return self._final(heard)
            case Drained():
                return [Say(self._metadata()), Close(NORMAL, "")]
            case Refused():
                code = TRY_AGAIN_LATER if heard.code == "busy" else POLICY_VIOLATION
                complaint = self._complaint(heard.code, heard.message, "")
                return [complaint, Close(code, heard.message)]

    def _final(self, heard: Utterance) -> list[Action]:
        said: list[Action] = []
        if heard.error:
            said.append(self._complaint("TranscriptionFailed", heard.error, ""))
        start_ms = max(heard.start_ms, self._end_ms)
        end_ms = max(heard.end_ms, start_ms)
        said.append(
            self._results(
                heard.text,
                start_ms,
                end_ms,
                is_final=True,
                speech_final=self._options.pause_ms is not None and end_ms > start_ms,
                from_finalize=heard.mark > 0,
                words=heard.words,
            )
        )
        self._end_ms = end_ms
        wait_ms = self._options.utterance_end_ms
        if wait_ms is not None and heard.text:
            self._due_ms = end_ms - (self._options.pause_ms or 0) + wait_ms
        return said + self._utterance_end()

    def _utterance_end(self) -> list[Action]:
        """Tell of the end of the words once no other followed for long enough."""
        if self._due_ms is None or self._maker is None or self._maker.position_ms < self._due_ms:
            return []
        self._due_ms = None
        last_word_end = self._end_ms / 1000
        return [Say({"type": "UtteranceEnd", "channel": CHANNEL, "last_word_end": last_word_end})]

    def _results(
        self,
        text: str,
        start_ms: float,
        end_ms: float,
        *,
        is_final: bool,
        speech_final: bool = False,
        from_finalize: bool = False,
        words: Sequence[Word] = (),
    ) -> Say:
        return Say(
            {
                "type": "Results",
                "channel_index": CHANNEL,
                "start": round(start_ms / 1000, 3),
                "duration": round((end_ms - start_ms) / 1000, 3),
                "is_final": is_final,
                "speech_final": speech_final,
                "from_finalize": from_finalize,
                "channel": {"alternatives": [alternative(text, words)]},
                "metadata": {
                    "request_id": self._request.id,
                    "model_info": self._request.model_info,
                    "model_uuid": self._request.id,
                },
            }
        )

    def _metadata(self) -> dict[str, Any]:
        duration_s = self._maker.position_ms / 1000 if self._maker is not None else 0.0
        return {
            "type": "Metadata",
            **metadata(self._request, self._sha256.hexdigest(), duration_s, self._options.tags),
        }


def alternative(text: str, words: Sequence[Word]) -> dict[str, Any]:
    """The one reading of an utterance; 0.0 where the engine does not say how sure it is."""
    written = text.split()
    as_written = written if len(written) == len(words) else [word.text for word in words]
    told = [
        {
            "word": word.text.strip(string.punctuation).lower() or word.text,
            "start": word.start_ms / 1000,
            "end": word.end_ms / 1000,
            "confidence": max(0.0, word.probability),
            "punctuated_word": punctuated,
        }
        for word, punctuated in zip(words, as_written, strict=True)
    ]
    sure = sum(max(0.0, word.probability) for word in words) / len(words) if words else 0.0
    return {"transcript": text, "confidence": round(sure, 4), "words": told}


def metadata(
    request: Request, sha256: str, duration_s: float, tags: tuple[str, ...]
) -> dict[str, Any]:
    """What Deepgram says of a request at its end; ``sha256`` is that of the bytes received."""
    said: dict[str, Any] = {
        "transaction_key": "deprecated",
        "request_id": request.id,
        "sha256": sha256,
        "created": request.created,
        "duration": round(duration_s, 3),
        "channels": 1,
        "models": [request.id],
        "model_info": {request.id: request.model_info},
    }
    return {**said, "tags": list(tags)} if tags else said


def _passed(frames: list[bytes]) -> list[Action]:
    return [Pass(frame) for frame in frames]
