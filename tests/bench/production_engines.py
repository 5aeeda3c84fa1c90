"""Engines for RealtimeSTT's production server: one that does nothing, and PocketSphinx."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from RealtimeSTT.transcription_engines.base import (
    BaseTranscriptionEngine,
    StreamingTranscriptionSession,
    TranscriptionEngineConfig,
    TranscriptionResult,
)

from transcriber.engines.base import AudioRequest, Transcript
from transcriber.engines.pocketsphinx_engine import PocketSphinxEngine as Pool


class NoPartials(StreamingTranscriptionSession):  # type: ignore[misc]
    """What the server streams audio into for partial results: it makes none."""

    def reset(self) -> None:
        """There is nothing to forget."""

    def accept_audio(self, audio: npt.NDArray[np.float32], sample_rate: int | None = None) -> None:
        """Drop the audio."""

    def get_result(self) -> TranscriptionResult:
        """No text yet."""
        return TranscriptionResult("")


class _Engine(BaseTranscriptionEngine):  # type: ignore[misc]
    """The server starts no turn without an engine that can stream."""

    supports_streaming = True

    def create_streaming_session(self, *_: Any, **__: Any) -> NoPartials:
        """One that costs as little as can be."""
        return NoPartials()


class NullEngine(_Engine):
    """Answers with the number of samples, as this project's null engine does."""

    engine_name = "null"

    def transcribe(self, audio: npt.NDArray[np.float32], *_: Any, **__: Any) -> TranscriptionResult:
        """A text such as ``16000 samples``."""
        return TranscriptionResult(f"{audio.size} samples")


class PocketSphinxEngine(_Engine):
    """This project's engine; the server runs one request at a time on it."""

    engine_name = "pocketsphinx"

    def __init__(self, config: TranscriptionEngineConfig) -> None:
        super().__init__(config)
        self._pool = Pool(1)
        self._pool.wait_until_warm()

    def transcribe(self, audio: npt.NDArray[np.float32], *_: Any, **__: Any) -> TranscriptionResult:
        """The words.

        Raises:
            Exception: the engine failed.
        """
        (outcome,) = self._pool.transcribe([AudioRequest(np.asarray(audio, np.float32))])
        if not isinstance(outcome, Transcript):
            raise outcome
        return TranscriptionResult(outcome.text)
