"""Makes the options of engines and recorders out of the stage's settings."""

from __future__ import annotations

from common.settings import TranscriberSettings
from transcriber.engines.options import EngineOptions
from transcriber.recorder.options import RecorderOptions


def engine_options(settings: TranscriberSettings) -> EngineOptions:
    """Which engines to load."""
    return EngineOptions(
        engine=settings.engine,
        workers=settings.engine_workers,
        model=settings.model,
        realtime_model=settings.rt_model,
        use_main_model_for_realtime=settings.use_main_model_for_realtime,
        enable_realtime=settings.enable_realtime_transcription,
        download_root=settings.root,
        device=settings.device,
        gpu_device_index=settings.gpu_device_index,
        compute_type=settings.compute_type,
        batch_size=settings.batch,
        realtime_batch_size=settings.realtime_batch_size,
        beam_size=settings.beam_size,
        beam_size_realtime=settings.beam_size_realtime,
        initial_prompt=settings.initial_prompt.replace("\\n", "\n"),
        initial_prompt_realtime=settings.initial_prompt_realtime.replace("\\n", "\n"),
        suppress_tokens=tuple(settings.suppress_tokens),
        vad_filter=settings.faster_whisper_vad_filter,
    )


def recorder_options(settings: TranscriberSettings) -> RecorderOptions:
    """What each session's recorder is told."""
    return RecorderOptions(
        language=settings.lang,
        enable_realtime_transcription=settings.enable_realtime_transcription,
        use_main_model_for_realtime=settings.use_main_model_for_realtime,
        realtime_processing_pause=settings.realtime_processing_pause,
        init_realtime_after_seconds=settings.init_realtime_after_seconds,
        silero_sensitivity=settings.silero_sensitivity,
        silero_deactivity_detection=settings.silero_deactivity_detection,
        webrtc_sensitivity=settings.webrtc_sensitivity,
        post_speech_silence_duration=settings.unknown_sentence_detection_pause,
        deactivity_silence_confirmation_duration=(
            settings.deactivity_silence_confirmation_duration
        ),
        min_length_of_recording=settings.min_length_of_recording,
        min_gap_between_recordings=settings.min_gap_between_recordings,
        early_transcription_on_silence=settings.early_transcription_on_silence,
        wake_words=settings.wake_words,
        wakeword_backend=settings.wakeword_backend,
        wake_words_sensitivity=settings.wake_words_sensitivity,
        wake_word_timeout=settings.wake_word_timeout,
        wake_word_activation_delay=settings.wake_word_activation_delay,
        wake_word_buffer_duration=settings.wake_word_buffer_duration,
        openwakeword_model_paths=tuple(settings.openwakeword_model_paths),
        openwakeword_inference_framework=settings.openwakeword_inference_framework,
        silence_timing=settings.silence_timing,
        end_of_sentence_detection_pause=settings.end_of_sentence_detection_pause,
        unknown_sentence_detection_pause=settings.unknown_sentence_detection_pause,
        mid_sentence_detection_pause=settings.mid_sentence_detection_pause,
        use_extended_logging=settings.use_extended_logging,
    )
