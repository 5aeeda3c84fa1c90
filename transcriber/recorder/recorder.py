"""One client's recorder, to whoever holds its audio: feed it, command it, hear its events.

How to use it, from one thread (a process shell)::

    scheduler = Scheduler(engine)                       # once per process
    preload()                                           # once per process: imports, seconds
    session = Recorder(options, scheduler, "id", on_event=outbox.put)
    session.set_parameter("language", "de")             # raises CommandError with its message
    while session.ask_for_room():
        session.feed(pcm16)                             # 16 kHz mono; else wait: BacklogCleared
    session.finish()                                    # ... AllReported comes last
    session.close()

Nothing here blocks: what takes time happens on the session's own threads, and comes back as
events. ``on_event`` is called on these threads, one call at a time; it must be quick, must not
raise, and must not call back into the session.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common.envelope import Parameter
from common.parameters import (
    DEFAULT_LANGUAGE,
    TIMES,
    InvalidValueError,
    checked_call,
    checked_value,
    readable_name,
)
from common.recognition_settings import RecorderSettings
from transcriber.pcm import int16_samples
from transcriber.recorder import realtimestt_names
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ
from transcriber.recorder.display_text import display_text
from transcriber.recorder.outputs import (
    AllReported,
    BacklogCleared,
    FinalStart,
    NoticeType,
    PartialText,
    RecorderOutput,
    RecordingText,
    SilenceCommit,
    StateNotice,
)
from transcriber.recorder.silence_timing import SilenceTiming
from transcriber.recorder.word_times import word_times
from transcriber.scheduler import Scheduler

if TYPE_CHECKING:
    from transcriber.engines.base import FloatAudio
    from transcriber.recorder.segmenting_recorder import SegmentingRecorder

log = logging.getLogger(__name__)


def preload() -> None:
    """Import RealtimeSTT (a second or two), and make it fit for many sessions; once.

    Raises:
        SettingsError: it is another RealtimeSTT than the one that is known.
    """
    realtimestt_names.install()
    importlib.import_module("transcriber.recorder.segmenting_recorder")


class Recorder:
    """A recorder and its threads (recording, partials, finals).

    Args:
        options: its settings.
        scheduler: of the shared engines.
        session: a name that no other session of ``scheduler`` has.
        start_sample: absolute 16 kHz position of the first sample that will be fed: 0, or on a
            replay the position of a commit.
        on_event: see the module's docstring.

    Raises:
        Exception: RealtimeSTT could not make a recorder of these options.
    """

    def __init__(
        self,
        options: RecorderSettings,
        scheduler: Scheduler,
        session: str,
        on_event: Callable[[RecorderOutput], None],
        start_sample: int = 0,
    ) -> None:
        from transcriber.recorder.segmenting_recorder import SegmentingRecorder

        self._options = options
        self._scheduler = scheduler
        self._session = session
        self._on_event = on_event
        self._emitting = threading.Lock()
        self._timing = SilenceTiming(options) if options.silence_timing else None
        self._finishing = False
        self._closed = False
        self._backlogged = False
        self._backlog_lock = threading.Lock()
        self._final_executor = scheduler.final_executor(session)
        self._realtime_executor = scheduler.realtime_executor(
            session, use_main=options.use_main_model_for_realtime
        )
        self._recorder: SegmentingRecorder = SegmentingRecorder(
            options, self, self._final_executor, self._realtime_executor, start_sample
        )
        self._clock = self._recorder.clock
        # Time of day at audio time 0, for the parameters that hold times.
        self._day_offset_s = time.time() - self._clock.time()
        self._text_thread = threading.Thread(
            target=self._report_texts, name=f"finals-{session[:8]}", daemon=True
        )
        self._text_thread.start()

    # -- audio ---------------------------------------------------------------------------------

    def feed(self, pcm16: bytes | memoryview) -> None:
        """Append int16 mono PCM at 16 kHz, any even number of bytes; never blocks.

        Raises:
            ValueError: after :meth:`finish`, or an odd number of bytes.
        """
        if self._finishing:
            raise ValueError("audio after the end of the stream")
        if len(pcm16) % 2:
            raise ValueError(f"{len(pcm16)} bytes of int16 PCM")
        self._recorder.feed.put_audio(pcm16)

    def ask_for_room(self) -> bool:
        """Whether to feed on; after False, :class:`BacklogCleared` says when."""
        with self._backlog_lock:
            self._backlogged = self._is_backlogged()
            return not self._backlogged

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that it was fed and has not heard yet."""
        return self._recorder.feed.waiting_s

    @property
    def fed_s(self) -> float:
        """Seconds of audio that it was fed, with those before its start."""
        return self.position / SAMPLE_RATE_HZ + self.waiting_s

    @property
    def position(self) -> int:
        """Absolute 16 kHz position up to which the recorder has consumed its audio."""
        return self._clock.position

    def hold(self) -> None:
        """What is fed from here on is one utterance, until :meth:`end_utterance`; may repeat."""
        self._recorder.feed.post(self._recorder.hold)

    def end_utterance(self, number: int, *, discard: bool) -> None:
        """End the utterance exactly here; exactly one :class:`RecordingText` of that mark follows.

        Args:
            number: the client's number of the mark, from 1.
            discard: throw away what was recorded.
        """
        recorder = self._recorder
        rest = recorder.feed.take_remainder()
        recorder.feed.post(lambda: recorder.end_utterance(rest, number, discard=discard))
        recorder.feed.post(self.consumed)

    def finish(self) -> None:
        """End the stream: a running recording ends in silence, :class:`AllReported` follows."""
        if self._finishing or self._closed:
            return
        self._finishing = True
        self._recorder.feed.flush()
        self._recorder.feed.follow_with(self._recorder.next_tail_chunk)

    def close(self) -> None:
        """Drop the session, its waiting requests and its threads; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._recorder.is_running = False
        self._final_executor.close()
        self._realtime_executor.close()
        self._scheduler.forget(self._session)
        self._recorder.shutdown()
        self._text_thread.join(timeout=5)

    # -- control -------------------------------------------------------------------------------

    def set_parameter(self, name: str, value: Parameter) -> None:
        """Set one of the parameters that RealtimeSTT's ``stt-server`` allows, at once.

        Raises:
            CommandError: unknown or read-only name, wrong type or range.
        """
        value = checked_value(name, value)
        if name == "use_wake_words" and value and not hasattr(self._recorder, "wakeword_backend"):
            raise InvalidValueError(
                "Parameter use_wake_words must be false: the server runs without wake words"
            )
        if name in TIMES and isinstance(value, float) and value:
            value = value - self._day_offset_s
        if name == "language" and value == DEFAULT_LANGUAGE:
            value = self._options.language
        setattr(self._recorder, name, value)

    def get_parameter(self, name: str) -> Parameter:
        """Read one of these parameters.

        ``last_transcription_bytes`` is the list of the int16 samples.

        Raises:
            CommandError: unknown name.
        """
        readable_name(name)
        value: Any = getattr(self._recorder, name)
        if name == "recording_stop_time":
            value = value or self._recorder.last_recording_stop_time
        if name in TIMES:
            return float(value + self._day_offset_s) if value else 0
        if isinstance(value, np.ndarray):
            samples: list[Parameter] = int16_samples(value).tolist()
            return samples
        plain: Parameter = value
        return plain

    def call_method(
        self,
        name: str,
        args: Sequence[Parameter] = (),
        kwargs: Mapping[str, Parameter] | None = None,
    ) -> None:
        """Call one of the methods that RealtimeSTT's ``stt-server`` allows; never blocks.

        It takes effect in order with the audio fed so far. ``text`` does nothing (texts always
        come by themselves), nor does ``shutdown``: the caller ends the session.

        Raises:
            CommandError: unknown name, wrong arguments.
        """
        arguments = checked_call(name, args, kwargs)
        recorder = self._recorder
        if name == "set_microphone":
            recorder.set_microphone(arguments.get("microphone_on", True))
        elif name == "clear_audio_queue":
            recorder.feed.discard(self._clock.advance)
            recorder.feed.post(recorder.clear_audio_queue)
            recorder.feed.post(self.consumed)
        elif name in ("abort", "stop", "wakeup"):
            recorder.feed.post(lambda: getattr(recorder, name)(**arguments))

    # -- what the recorder tells, on its threads -----------------------------------------------

    def notice(self, kind: NoticeType) -> None:
        """Called by the recorder."""
        if self._timing is not None and kind is NoticeType.RECORDING_START:
            self._timing.restart()
        self._emit(StateNotice(kind, self._clock.position))

    def partial(self, text: str) -> None:
        """Called by the recorder."""
        text = display_text(text)
        if self._timing is not None:
            self._recorder.post_speech_silence_duration = self._timing.pause_after(text)
        if text:
            self._emit(PartialText(self._clock.position, text))

    def transcription_starts(self, audio: FloatAudio) -> None:
        """Called by the recorder."""
        utterance = self._recorder.utterance
        if utterance is not None:
            self._emit(FinalStart(utterance.end_sample, int16_samples(audio).tobytes()))

    def committed(self, sample: int) -> None:
        """Called by the recorder."""
        self._emit(SilenceCommit(sample))

    def consumed(self) -> None:
        """Called by the recorder."""
        # Always under the lock: a look at the flag alone could miss that it is being set for a
        # backlog that is gone by now, and nothing would clear it.
        with self._backlog_lock:
            cleared = self._backlogged and not self._is_backlogged(clearing=True)
            if cleared:
                self._backlogged = False
        if cleared:
            self._emit(BacklogCleared(self._clock.position))

    def _report_texts(self) -> None:
        with self._clock.bound():
            while not self._closed and self._report_text():
                pass

    def _report_text(self) -> bool:
        """Report the text of the next recording; false at the end of the stream."""
        recorder = self._recorder
        text = error = ""
        recorder.last_transcription_metadata = {}
        try:
            text = display_text(recorder.text() or "")
        except Exception as failure:  # reported to the client, and the next one is taken
            error = str(failure)
            log.error("a recording was not transcribed: %s", failure)
        if self._closed:
            return False
        utterance = recorder.utterance
        if utterance is None:
            self._emit(AllReported(self._clock.position))
            return False
        begin, end = utterance.start_sample, utterance.end_sample
        words = word_times(recorder.last_transcription_metadata, begin, end) if text else ()
        self._emit(RecordingText(text, begin, end, error, utterance.mark, words))
        recorder.utterance_done()
        self.consumed()
        return True

    def _emit(self, event: RecorderOutput) -> None:
        with self._emitting:
            if not self._closed:
                self._on_event(event)

    def _is_backlogged(self, clearing: bool = False) -> bool:
        # Cleared at half the limit, so that audio flows in runs and not chunk by chunk.
        limit = self._options.max_waiting_chunks // (2 if clearing else 1)
        return (
            self._recorder.feed.qsize() > limit
            or self._recorder.open_utterances > self._options.max_waiting_finals
        )
