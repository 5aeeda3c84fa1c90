"""What RealtimeSTT's recorder is told, out of the stage's settings, which bear its own names."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from common.recognition_settings import RecorderSettings

NOT_TOLD: Final = frozenset(
    {
        "debug",
        "end_of_sentence_detection_pause",
        "final_attempts",
        "log_format",
        "max_recording_s",
        "max_waiting_chunks",
        "max_waiting_finals",
        "mid_sentence_detection_pause",
        "silence_timing",
        "unknown_sentence_detection_pause",  # by another name
        "use_main_model_for_realtime",  # the scheduler's choice
    }
)
"""Settings that RealtimeSTT's recorder does not have, or that are carried out around it."""

FIXED: Final[dict[str, Any]] = {
    "use_microphone": False,
    "spinner": False,
    "no_log_file": True,
    "device": "cpu",  # of no consequence: the engines are injected
    "handle_buffer_overflow": False,
    "start_callback_in_new_thread": False,
    "use_main_model_for_realtime": False,
    # Raw ONNX on one thread: the other backends load a model over the network, and more threads
    # cost more than they give.
    "silero_backend": "auto",
    "silero_onnx_threads": 1,
}


def recorder_arguments(settings: RecorderSettings) -> dict[str, Any]:
    """Keyword arguments of ``AudioToTextRecorder``, but for executors and callbacks."""
    told = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(RecorderSettings)
        if field.name not in NOT_TOLD
    }
    if settings.wakeword_backend == "none":
        told["wakeword_backend"] = ""
    told["openwakeword_model_paths"] = ",".join(settings.openwakeword_model_paths) or None
    told["post_speech_silence_duration"] = settings.unknown_sentence_detection_pause
    return told | FIXED
