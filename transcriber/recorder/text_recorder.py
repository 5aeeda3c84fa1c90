"""From a recording to its text: RealtimeSTT's methods for that, each recording on its own.

RealtimeSTT takes the last result of any pending request for the text of the recording at hand,
which mixes recordings up as soon as one starts while another is transcribed.
"""

from __future__ import annotations

import base64
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Final

from RealtimeSTT import AudioToTextRecorder
from RealtimeSTT.core.recording_buffers import set_audio_from_frames
from RealtimeSTT.core.text_formatting import preprocess_output

from transcriber.engines.base import FloatAudio, Transcript
from transcriber.executors import FinalExecutor
from transcriber.recorder.utterance import Utterance

log = logging.getLogger(__name__)


SILENT_PEAK: Final = 0.001
"""Of full scale: an utterance that a client bounded, and that nowhere is louder, has no words."""


def _is_silent(audio: FloatAudio) -> bool:
    return not audio.size or float(abs(audio).max()) < SILENT_PEAK


class TranscriptionFailedError(Exception):
    """A final transcription failed each time it was tried."""


class TextRecorder(AudioToTextRecorder):  # type: ignore[misc]
    """The recorder's text thread: it calls ``text()`` again and again.

    Args:
        attempts: times that a failing transcription is tried.
        keywords: of ``AudioToTextRecorder``.
    """

    # RealtimeSTT's, as used here.
    audio: FloatAudio | None
    transcription_executor: FinalExecutor

    def __init__(self, attempts: int, **keywords: Any) -> None:
        self.utterance: Utterance | None = None
        """The recording whose text is awaited."""
        self._attempts = attempts
        self._utterances: queue.SimpleQueue[Utterance | None] = queue.SimpleQueue()
        self._final: Future[Transcript] | None = None
        self._closing = threading.Event()
        super().__init__(**keywords)

    def wait_audio(self) -> None:
        """Wait for a recording and load it; none is loaded when the stream or session ends.

        RealtimeSTT's own way arms the recorder from here, at a moment that no audio defines.
        """
        self.audio = None
        self.utterance = self._utterances.get()
        if self.utterance is None or self.utterance.empty:
            return
        try:
            recorded = self.recorded_audio_queue.get_nowait()
        except queue.Empty:  # it had no frames
            return
        self._current_transcription_live_text = recorded.get("live_text", "")
        self._current_transcription_tail_audio = recorded.get("tail_audio")
        set_audio_from_frames(
            self,
            recorded["frames"],
            recorded["backdate_stop_seconds"],
            recorded["backdate_resume_seconds"],
        )

    def transcribe(self, word_timestamps: bool | None = None) -> str:
        """Text of the recording that :meth:`wait_audio` loaded."""
        if self.utterance is None or self.utterance.aborted:
            return ""
        if self.audio is None:
            return ""
        if self.utterance.mark and _is_silent(self.audio):  # no detector has heard speech in it
            return ""
        self.on_transcription_start(self.audio)
        return self.perform_final_transcription(self.audio, word_timestamps=word_timestamps)

    def perform_final_transcription(
        self,
        audio_bytes: FloatAudio | None = None,
        use_prompt: bool = True,
        word_timestamps: bool | None = None,
    ) -> str:
        """Text of ``audio_bytes``, from the recording's own early transcription if there is one.

        Raises:
            TranscriptionFailedError: it failed each time that it was tried.
        """
        audio = self.audio if audio_bytes is None else audio_bytes
        if audio is None or not audio.size:
            return ""
        options: dict[str, Any] = {}
        if word_timestamps or self.final_transcription_word_timestamps:
            options["word_timestamps"] = True
        early = self.utterance.early if self.utterance is not None else None
        transcript = self._await_transcript(audio, early, use_prompt, options)
        if transcript is None or self._is_aborted():
            return ""
        probability = transcript.info.language_probability
        self.detected_language = transcript.info.language if probability > 0 else None
        self.detected_language_probability = probability
        self.last_transcription_bytes = audio
        self.last_transcription_bytes_b64 = base64.b64encode(audio.tobytes()).decode("ascii")
        self.last_transcription_metadata = transcript.metadata
        text: str = preprocess_output(
            transcript.text,
            ensure_sentence_starting_uppercase=self.ensure_sentence_starting_uppercase,
            ensure_sentence_ends_with_period=self.ensure_sentence_ends_with_period,
        )
        return text

    def _await_transcript(
        self,
        audio: FloatAudio,
        early: Future[Transcript] | None,
        use_prompt: bool,
        options: dict[str, Any],
    ) -> Transcript | None:
        error: Exception | None = None
        attempts: list[Callable[[], Future[Transcript]]] = [
            lambda: self.transcription_executor.submit(audio, self.language, use_prompt, **options)
        ] * self._attempts
        if early is not None:
            attempts.insert(0, lambda: early)
        for number, attempt in enumerate(attempts):
            if self._closing.is_set() or self._is_aborted():
                return None
            try:
                self._final = attempt()
                return self._final.result()
            except CancelledError:
                return None
            except Exception as caught:  # an engine may raise anything
                error = caught
                log.warning("transcription attempt %d failed: %s", number + 1, caught)
                self._closing.wait(0.1 * number)
        raise TranscriptionFailedError(f"{type(error).__name__}: {error}") from error

    def _is_aborted(self) -> bool:
        return self.utterance is not None and self.utterance.aborted
