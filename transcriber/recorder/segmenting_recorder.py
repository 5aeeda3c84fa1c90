"""RealtimeSTT's recorder, made deterministic: what it does depends on the audio alone.

Imports RealtimeSTT: a second or two. ``recorder.py`` imports it when needed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Final, Protocol

import webrtcvad
from RealtimeSTT.core.recording_buffers import get_frames_lock
from RealtimeSTT.core.state import set_recorder_state
from RealtimeSTT.core.voice_activity import (
    append_to_pre_recording_buffer,
    clear_pre_recording_buffer,
    reset_silero_vad_state,
)

from common.logs import LogBudget
from common.recognition_settings import RecorderSettings
from transcriber.engines.base import FloatAudio
from transcriber.executors import FinalExecutor, RealtimeExecutor, TranscriptFuture
from transcriber.recorder import realtimestt_names
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ, AudioClock
from transcriber.recorder.feed import CHUNK_BYTES, CHUNK_SAMPLES, ChunkFeed
from transcriber.recorder.options import recorder_arguments
from transcriber.recorder.outputs import NoticeType
from transcriber.recorder.text_recorder import TextRecorder
from transcriber.recorder.utterance import CommitTracker, Utterance
from transcriber.schedule import QueueFullError

log = logging.getLogger(__name__)

_FAULTS: Final = LogBudget(10, 0.1)
"""Of all sessions: whatever makes a recorder fail may do so with each chunk."""
_QUIET_S: Final = 1.0
"""RealtimeSTT counts WebRTC speech as recent for this long."""
_MIN_TAIL_CHUNKS: Final = 2
"""The recorder starts one chunk after the one in which speech was found."""


class RecorderListener(Protocol):
    """Whoever is told what the recorder does; called on its threads, must not block or raise."""

    def notice(self, kind: NoticeType) -> None:
        """Something happened at the clock's position."""

    def partial(self, text: str) -> None:
        """RealtimeSTT has a partial result."""

    def transcription_starts(self, audio: FloatAudio) -> None:
        """The final transcription of a recording begins."""

    def committed(self, sample: int) -> None:
        """No replay needs the audio before ``sample``."""

    def consumed(self) -> None:
        """A chunk was taken from the feed."""


class SegmentingRecorder(TextRecorder):
    """One session's recorder. Its recording thread does all segmentation; see ``feed``.

    It always listens: it arms itself before the first chunk and after each recording, and at
    these points its state is that of a fresh recorder. So a replay that starts where a recording
    stopped yields the later recordings byte for byte.

    Args:
        start_sample: position in the session of the first sample that will be fed.
    """

    # RealtimeSTT's, as used here.
    speech_end_silence_start: float
    realtime_transcription_executor: RealtimeExecutor

    def __init__(
        self,
        options: RecorderSettings,
        listener: RecorderListener,
        final_executor: FinalExecutor,
        realtime_executor: RealtimeExecutor,
        start_sample: int = 0,
    ) -> None:
        if not realtimestt_names.is_installed():
            raise RuntimeError("recorder.preload() comes before the first recorder")
        self.clock = AudioClock(start_sample)
        self._options = options
        self._listener = listener
        self._recording_from = start_sample
        self._early: TranscriptFuture | None = None
        self._open_utterances: deque[Utterance] = deque()
        self._aborting = False
        self._held = False
        self._mark = 0
        self._last_end = start_sample
        self._rearm = True
        self._tail_chunks = 0
        self.feed = ChunkFeed(self._before_chunk)
        with self.clock.bound():
            super().__init__(
                options.final_attempts,
                **recorder_arguments(options),
                transcription_executor=final_executor,
                realtime_transcription_executor=realtime_executor,
                on_transcription_start=listener.transcription_starts,
                on_realtime_transcription_update=listener.partial,
                on_turn_detection_stop=self._turn_detection_stopped,
                **{f"on_{name}": _notifier(listener, kind) for name, kind in _CALLBACKS.items()},
            )
        pre_roll = (self.audio_buffer.maxlen or 0) * CHUNK_SAMPLES
        self._commits = CommitTracker(start_sample, pre_roll)
        if start_sample and self.min_gap_between_recordings:
            # Fed from where a recording stopped: the gap counts from there.
            self.recording_stop_time = self.clock.time()

    # -- recording thread ----------------------------------------------------------------------

    def _before_chunk(self, samples: int) -> None:
        position = self.clock.position
        if self.is_recording and self._is_too_long(position - self._recording_from):
            held = self._held
            self.stop_now()
            if held:
                self.hold()
        if self._rearm:
            # Here, and not at the stop: RealtimeSTT still keeps the chunk that stopped it.
            self._rearm = False
            self._arm()
        elif not self.is_recording:
            self._keep_listening(position)
        self.clock.advance(samples)
        self._listener.consumed()

    def _is_too_long(self, samples: int) -> bool:
        """Whether a recording is cut here: at the first pause past its limit, or a quarter later.

        One that its client bounds knows no pauses.
        """
        limit = self._options.max_recording_s * SAMPLE_RATE_HZ
        if samples < limit:
            return False
        return self._held or bool(self.speech_end_silence_start) or samples >= 1.25 * limit

    def _arm(self) -> None:
        """Listen, in the state of a fresh recorder."""
        clear_pre_recording_buffer(self)
        self._refresh_detectors()
        if self.speech_end_silence_start:
            self.speech_end_silence_start = 0
            self._turn_detection_stopped()
        self.awaiting_speech_end = False
        self.listen_start = self.clock.time()
        if self.min_gap_between_recordings:
            set_recorder_state(self, "listening")
        else:
            # While this is 0 RealtimeSTT's loop keeps its state up to date, wake words included.
            self.recording_stop_time = 0
        self.continuous_listening = not self.use_wake_words
        self.start_recording_on_voice_activity = True
        self.stop_recording_on_voice_deactivity = True

    def _refresh_detectors(self) -> None:
        # A WebRTC detector adapts to what it hears and cannot be reset.
        self.webrtc_vad_model = webrtcvad.Vad(self.webrtc_sensitivity)
        self.is_webrtc_speech_active = False
        self.last_webrtc_speech_time = 0
        self.silero_check_time = 0
        reset_silero_vad_state(self)

    def _keep_listening(self, position: int) -> None:
        # RealtimeSTT disarms itself for good when speech begins within the gap between recordings.
        self.start_recording_on_voice_activity = True
        sample = self._commits.listening_at(position)
        if sample is not None:
            self._listener.committed(sample)
        if self.wakeword_detected:
            return
        quiet = self.clock.time() - self.last_webrtc_speech_time > _QUIET_S
        if self._commits.should_rebase(position, quiet, bool(self.is_silero_speech_active)):
            self._refresh_detectors()

    def start(self, frames: list[bytes] | None = None) -> SegmentingRecorder:
        """Start a recording, on the recording thread."""
        before = self.realtime_recording_id
        super().start(frames)
        if self.realtime_recording_id != before:
            # The current chunk and the pre-roll, which RealtimeSTT adds next.
            to_add = CHUNK_SAMPLES + sum(len(chunk) // 2 for chunk in self.audio_buffer)
            self._recording_from = self.clock.position - (0 if self._held else to_add)
            self.allowed_to_early_transcribe = True
            self._drop_early()
            self._commits.recording_started()
        return self

    def stop(
        self, backdate_stop_seconds: float = 0.0, backdate_resume_seconds: float = 0.0
    ) -> SegmentingRecorder:
        """Stop the recording, if it has the least length, on the recording thread."""
        if not self.is_recording:
            return self
        super().stop(backdate_stop_seconds, backdate_resume_seconds)
        if not self.is_recording:
            early, self._early = self._early, None
            if backdate_stop_seconds and early is not None:
                early.cancel()
                early = None
            if early is not None:
                self.transcription_executor.promote(early)
            self.realtime_transcription_executor.drop()
            end = self._last_end = self.clock.position
            self._rearm = True
            self._held = False
            self._commits.recording_stopped(end)
            utterance = Utterance(self._recording_from, end, early, self._aborting, self._mark)
            self._open_utterances.append(utterance)
            self._utterances.put(utterance)
        return self

    def stop_now(self) -> None:
        """Stop the recording whatever its length, on the recording thread."""
        self.recording_start_time = 0
        self.stop()

    def _turn_detection_stopped(self) -> None:
        self._listener.notice(NoticeType.TURN_DETECTION_STOP)
        if self.is_recording:  # speech goes on: what was transcribed early is not all
            self._drop_early()

    def submit_early(
        self, audio: FloatAudio, language: str, use_prompt: bool, options: dict[str, Any] | None
    ) -> None:
        """Transcribe the recording so far, in the hope that only silence follows."""
        self._drop_early()
        try:
            self._early = self.transcription_executor.submit(
                audio, language, use_prompt, early=True, **(options or {})
            )
        except (CancelledError, QueueFullError) as error:
            log.debug("no early transcription: %s", error)

    def _drop_early(self) -> None:
        if self._early is not None:
            self._early.cancel()
            self._early = None

    def recover(self) -> None:
        """Go on after an error in RealtimeSTT's loop: give up the recording, keep its audio."""
        if _FAULTS.allow(time.monotonic()):
            log.exception("the recorder failed at %.3f s", self.clock.position / SAMPLE_RATE_HZ)
        if self.is_recording:
            self.stop_now()
        self._rearm = True

    def next_tail_chunk(self) -> bytes | None:
        """Silence at the end of the stream, as long as a recording needs it to end."""
        limit_s = self.post_speech_silence_duration + self.deactivity_silence_confirmation_duration
        limit = int((limit_s + self.min_length_of_recording + 2) * SAMPLE_RATE_HZ) // CHUNK_SAMPLES
        if self.is_recording and (self._held or self._tail_chunks >= limit):
            self.stop_now()
        if not self.is_recording and self._tail_chunks >= _MIN_TAIL_CHUNKS:
            self._utterances.put(None)
            return None
        self._tail_chunks += 1
        return bytes(CHUNK_BYTES)

    # -- commands, posted to the recording thread ----------------------------------------------

    def abort(self) -> None:
        """Throw away what has no text yet, the running recording included.

        Each recording still is reported, with no text, so that its audio is committed.
        """
        self._aborting = True
        try:
            self.stop_now()
        finally:
            self._aborting = False
        for utterance in tuple(self._open_utterances):
            utterance.aborted = True
        if self._final is not None:
            self._final.cancel()

    def clear_audio_queue(self) -> None:
        """Throw away the pre-roll (``feed.discard`` does it for what waits)."""
        clear_pre_recording_buffer(self)

    def hold(self) -> None:
        """Record from here on, whatever is heard, until :meth:`end_utterance`; may repeat."""
        if self._held:
            return
        if self.is_recording:
            self.stop_now()
        self._rearm = False
        self._arm()
        self._held = True
        self.start_recording_on_voice_activity = False
        self.stop_recording_on_voice_deactivity = False
        self.recording_stop_time = 0  # no gap has to be kept
        self.start()

    def end_utterance(self, rest: bytes, number: int, *, discard: bool) -> None:
        """End the recording after the samples of ``rest``, which fill no chunk.

        Without a recording, an utterance without audio answers the mark, and nothing changes.
        """
        self.clock.advance(len(rest) // 2)
        if self.is_recording:
            with get_frames_lock(self):
                self.frames.append(rest)
        else:
            if rest:
                append_to_pre_recording_buffer(self, rest)
            empty = Utterance(self._last_end, self._last_end, mark=number, empty=True)
            self._open_utterances.append(empty)
            self._utterances.put(empty)
            return
        self._mark, self._aborting = number, discard
        try:
            self.stop_now()
        finally:
            self._mark, self._aborting = 0, False

    # -- text thread ---------------------------------------------------------------------------

    def utterance_done(self) -> None:
        """The text of :attr:`utterance` was reported."""
        if self._open_utterances.popleft().empty:
            return
        sample = self._commits.utterance_done()
        if sample is not None:
            self._listener.committed(sample)

    @property
    def open_utterances(self) -> int:
        """Recordings whose text was not reported yet."""
        return len(self._open_utterances)

    # -- any thread ----------------------------------------------------------------------------

    def shutdown(self) -> None:
        """End the threads; idempotent. Requests that run must be cancelled by the caller."""
        self._closing.set()
        self.is_running = False
        self.feed.close()
        self.clock.close()
        self._utterances.put(None)
        with self.clock.bound():
            super().shutdown()


_CALLBACKS: Final = {
    "recording_start": NoticeType.RECORDING_START,
    "recording_stop": NoticeType.RECORDING_STOP,
    "vad_detect_start": NoticeType.VAD_DETECT_START,
    "vad_detect_stop": NoticeType.VAD_DETECT_STOP,
    "vad_start": NoticeType.VAD_START,
    "vad_stop": NoticeType.VAD_STOP,
    "wakeword_detected": NoticeType.WAKEWORD_DETECTED,
    "wakeword_detection_start": NoticeType.WAKEWORD_DETECTION_START,
    "wakeword_detection_end": NoticeType.WAKEWORD_DETECTION_END,
    "turn_detection_start": NoticeType.TURN_DETECTION_START,
}


def _notifier(listener: RecorderListener, kind: NoticeType) -> Callable[[], None]:
    return lambda: listener.notice(kind)
