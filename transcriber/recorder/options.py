"""Settings of one session's recorder, by RealtimeSTT's names (which say seconds where it does)."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """What RealtimeSTT's recorder is told; defaults are those of its ``stt-server``.

    Durations are in seconds of audio. Silero always runs as raw ONNX on one thread: the other
    backends load a model over the network, and more threads cost more than they give.
    """

    language: str = "en"
    """Language code, "" to detect."""
    enable_realtime_transcription: bool = True
    use_main_model_for_realtime: bool = False
    realtime_processing_pause: float = 0.02
    init_realtime_after_seconds: float = 0.2
    silero_sensitivity: float = 0.05
    silero_deactivity_detection: bool = True
    webrtc_sensitivity: int = 3
    post_speech_silence_duration: float = 0.7
    deactivity_silence_confirmation_duration: float = 0.16
    min_length_of_recording: float = 1.1
    min_gap_between_recordings: float = 0.0
    pre_recording_buffer_duration: float = 1.0
    early_transcription_on_silence: float = 0.2
    """Silence after which the final transcription starts, in the hope that it stays; 0: never."""
    ensure_sentence_starting_uppercase: bool = True
    ensure_sentence_ends_with_period: bool = True
    wake_words: str = ""
    wakeword_backend: str = ""
    wake_words_sensitivity: float = 0.5
    wake_word_timeout: float = 5.0
    wake_word_activation_delay: float = 0.0
    wake_word_buffer_duration: float = 1.0
    openwakeword_model_paths: tuple[str, ...] = ()
    openwakeword_inference_framework: str = "onnx"
    silence_timing: bool = False
    """Let partial results choose the pause that ends a sentence, as ``stt-server`` does. Where a
    sentence ends then depends on when partials arrive, no longer on the audio alone."""
    end_of_sentence_detection_pause: float = 0.45
    unknown_sentence_detection_pause: float = 0.7
    mid_sentence_detection_pause: float = 2.0
    max_recording_s: float = 120.0
    """A recording is cut there, so that endless noise neither fills the memory nor waits forever
    for its commit."""
    max_waiting_chunks: int = 64
    """Chunks of 32 ms that may wait for the recorder before it is ``backlogged``."""
    max_waiting_finals: int = 2
    """Recordings that may wait for their transcription before it is ``backlogged``."""
    final_attempts: int = 3
    """Times that a failing final transcription is tried."""
    use_extended_logging: bool = False


def recorder_arguments(options: RecorderOptions) -> dict[str, Any]:
    """Keyword arguments of ``AudioToTextRecorder``, but for executors and callbacks."""
    backend = options.wakeword_backend if options.wakeword_backend != "none" else ""
    return {
        "language": options.language,
        "use_microphone": False,
        "spinner": False,
        "no_log_file": True,
        "device": "cpu",  # of no consequence: the engines are injected
        "handle_buffer_overflow": False,
        "silero_backend": "auto",
        "silero_onnx_threads": 1,
        "start_callback_in_new_thread": False,
        "enable_realtime_transcription": options.enable_realtime_transcription,
        "use_main_model_for_realtime": False,
        "realtime_processing_pause": options.realtime_processing_pause,
        "init_realtime_after_seconds": options.init_realtime_after_seconds,
        "silero_sensitivity": options.silero_sensitivity,
        "silero_deactivity_detection": options.silero_deactivity_detection,
        "webrtc_sensitivity": options.webrtc_sensitivity,
        "post_speech_silence_duration": options.post_speech_silence_duration,
        "deactivity_silence_confirmation_duration": (
            options.deactivity_silence_confirmation_duration
        ),
        "min_length_of_recording": options.min_length_of_recording,
        "min_gap_between_recordings": options.min_gap_between_recordings,
        "pre_recording_buffer_duration": options.pre_recording_buffer_duration,
        "early_transcription_on_silence": options.early_transcription_on_silence,
        "ensure_sentence_starting_uppercase": options.ensure_sentence_starting_uppercase,
        "ensure_sentence_ends_with_period": options.ensure_sentence_ends_with_period,
        "wake_words": options.wake_words,
        "wakeword_backend": backend,
        "wake_words_sensitivity": options.wake_words_sensitivity,
        "wake_word_timeout": options.wake_word_timeout,
        "wake_word_activation_delay": options.wake_word_activation_delay,
        "wake_word_buffer_duration": options.wake_word_buffer_duration,
        "openwakeword_model_paths": ",".join(options.openwakeword_model_paths) or None,
        "openwakeword_inference_framework": options.openwakeword_inference_framework,
        "use_extended_logging": options.use_extended_logging,
    }
