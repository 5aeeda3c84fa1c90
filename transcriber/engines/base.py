"""What every speech engine looks like to the scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from common.errors import SttError

FloatAudio = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, -1 to 1."""


Features = npt.NDArray[np.float32]
"""Whisper's log-mel features of one window: (mel bins, frames)."""


class EngineError(SttError):
    """An engine cannot be had or used; the message says what to do."""


class AudioRequest(NamedTuple):
    """One recording, or the start of one, to transcribe."""

    audio: FloatAudio
    language: str | None = None
    """Language code; None to detect."""
    use_prompt: bool = True
    realtime: bool = False
    """A partial result: fast matters more than good."""
    word_timestamps: bool = False
    features: Features | None = None
    """What an engine computes of the audio first, where that was done already."""


class TranscriptInfo(NamedTuple):
    """What was detected; the probability is 0 where nothing was."""

    language: str | None = None
    language_probability: float = 0.0


class Transcript(NamedTuple):
    """Text of one request, in the shape that RealtimeSTT's recorder reads results in."""

    text: str
    info: TranscriptInfo = TranscriptInfo()
    metadata: Mapping[str, Any] = {}
    """``words``, where the engine knows them: of each ``word``, ``start`` and ``end`` in s of the
    request's audio, and ``probability`` (0 to 1; without it: unknown)."""


Outcome = Transcript | Exception


class Engine(Protocol):
    """A loaded model. Warm from construction on: a caller may take it for ready."""

    name: str
    concurrency: int
    """Calls of :meth:`transcribe` that may run at once, from different threads."""
    max_batch: int
    """Requests that one call may carry."""
    realtime_share: float
    """Part of one worker's time, 0 to 1, that partial results may take."""

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Transcribe ``requests`` (all partial or none); outcomes in their order.

        Raises:
            Exception: all of them failed.
        """
        ...

    def close(self) -> None:
        """Release the model and its processes; calls that run may fail."""
        ...
