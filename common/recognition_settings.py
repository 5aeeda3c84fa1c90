"""What engines and recorders are told; RealtimeSTT's options keep its names and defaults."""

from __future__ import annotations

import dataclasses
from typing import Final

from common.options import option

STOCK_INITIAL_PROMPT: Final = (
    "Incomplete thoughts should end with '...'. Examples of complete thoughts: "
    "'The sky is blue.' 'She walked home.' Examples of incomplete thoughts: "
    "'When the sky...' 'Because he...'"
)
"""The default of RealtimeSTT's ``stt-server``, kept so that results are the same."""


def with_line_breaks(text: str) -> str:
    """A prompt as it can be typed on a command line: ``\\n`` stands for a line break."""
    return text.replace("\\n", "\n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is logged."""

    log_format: str = option(
        "text", "--log-format", choices=["text", "json"], help="form of the log lines"
    )
    use_extended_logging: bool = option(
        False, "--use_extended_logging", "--use-extended-logging", help="log every verification"
    )
    debug: bool = option(False, "-D", "--debug", help="log at debug level")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartialSettings:
    """Whether there are partial results, and of which model."""

    use_main_model_for_realtime: bool = option(
        False, "--use_main_model_for_realtime", help="partial results from the main model"
    )
    enable_realtime_transcription: bool = option(
        True, "--enable_realtime_transcription", help="send partial results"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineSettings(PartialSettings):
    """Which engines to load, and how they decode."""

    engine: str = option(
        "",
        "--engine",
        help="pocketsphinx (embedded), null, transformers_whisper, or an engine of RealtimeSTT "
        "[pocketsphinx; faster_whisper when --model is given]",
    )
    engine_workers: int = option(
        0,
        "--engine-workers",
        help="processes of the pocketsphinx engine [one per core, at most 4]",
        low=0,
        high=256,
    )
    model: str = option(
        "", "-m", "--model", help="size (tiny, base, large-v2 ...) or path of a Whisper model"
    )
    rt_model: str = option(
        "tiny",
        "-r",
        "--rt-model",
        "--realtime_model_type",
        help="model of partial results, where --model is used",
    )
    batch: int = option(
        16, "-b", "--batch", "--batch_size", help="batch size of inference", low=0, high=256
    )
    realtime_batch_size: int = option(
        16, "--realtime_batch_size", help="batch size of partials", low=0, high=256
    )
    max_partial_cost_s: float = option(
        5.0,
        "--max-partial-cost",
        help="seconds of an engine's time that one partial result may be expected to take; less, "
        "the more of the time finals take; 0: any",
        low=0,
        high=3_600,
    )
    root: str = option("", "--root", "--download_root", help="folder of downloaded models")
    initial_prompt: str = option(
        STOCK_INITIAL_PROMPT,
        "--initial_prompt",
        help="prompt of the main model [asks for '...' after incomplete thoughts]",
        type=with_line_breaks,
        metavar="TEXT",
    )
    initial_prompt_realtime: str = option(
        "",
        "--initial_prompt_realtime",
        help="prompt of the realtime model",
        type=with_line_breaks,
        metavar="TEXT",
    )
    beam_size: int = option(5, "--beam_size", help="beam of the main model", low=1, high=64)
    beam_size_realtime: int = option(
        3, "--beam_size_realtime", help="beam of the realtime model", low=1, high=64
    )
    compute_type: str = option("default", "--compute_type", help="CTranslate2 computation type")
    gpu_device_index: int = option(0, "--gpu_device_index", help="GPU number", low=0, high=255)
    device: str = option("", "--device", help="cuda or cpu [cuda where there is one]")
    suppress_tokens: tuple[int, ...] = option(
        (-1,), "--suppress_tokens", nargs="*", type=int, help="tokens never produced"
    )
    normalize_audio: bool = option(
        False, "--normalize_audio", help="scale each recording to the same peak"
    )
    faster_whisper_vad_filter: bool = option(
        False, "--faster_whisper_vad_filter", help="let faster-whisper filter silence"
    )

    @property
    def engine_name(self) -> str:
        """The engine to use, in the spelling of RealtimeSTT's factory."""
        chosen = self.engine or ("faster_whisper" if self.model else "pocketsphinx")
        return chosen.strip().lower().replace("-", "_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecorderSettings(PartialSettings, LogSettings):
    """What each session's recorder does. Durations are in seconds of audio."""

    language: str = option(
        "en",
        "-l",
        "--lang",
        "--language",
        help="language code; empty: detect",
        variable="LANG",
    )
    wake_words: str = option("", "-w", "--wake_words", help="wake words that start listening")
    final_transcription_word_timestamps: bool = option(
        False,
        "--final_transcription_word_timestamps",
        "--word-timestamps",
        help="have engines tell when each word was that do so only if asked (PocketSphinx always "
        "does)",
    )
    silence_timing: bool = option(
        False, "-s", "--silence_timing", help="adapt the pause that ends a sentence to its partial"
    )
    init_realtime_after_seconds: float = option(
        0.2,
        "--init_realtime_after_seconds",
        help="wait before the first partial result",
        low=0,
        high=60,
    )
    silero_sensitivity: float = option(
        0.05, "--silero_sensitivity", help="Silero VAD, 0 to 1", low=0, high=1
    )
    webrtc_sensitivity: int = option(
        3, "--webrtc_sensitivity", help="WebRTC VAD, 0 to 3", low=0, high=3
    )
    min_length_of_recording: float = option(
        1.1, "--min_length_of_recording", help="least seconds of a recording", low=0, high=60
    )
    min_gap_between_recordings: float = option(
        0.0,
        "--min_gap_between_recordings",
        help="least seconds between recordings",
        low=0,
        high=3_600,
    )
    realtime_processing_pause: float = option(
        0.02, "--realtime_processing_pause", help="seconds between partial results", low=0, high=60
    )
    silero_deactivity_detection: bool = option(
        True, "--silero_deactivity_detection", help="use Silero to detect the end of speech"
    )
    deactivity_silence_confirmation_duration: float = option(
        0.16,
        "--deactivity_silence_confirmation_duration",
        help="seconds that confirm silence",
        low=0,
        high=60,
    )
    early_transcription_on_silence: float = option(
        0.2,
        "--early_transcription_on_silence",
        help="seconds of silence that start the final",
        low=0,
        high=60,
    )
    end_of_sentence_detection_pause: float = option(
        0.45,
        "--end_of_sentence_detection_pause",
        help="pause after a finished sentence",
        low=0,
        high=60,
    )
    unknown_sentence_detection_pause: float = option(
        0.7,
        "--unknown_sentence_detection_pause",
        help="pause that ends a recording",
        low=0,
        high=60,
    )
    mid_sentence_detection_pause: float = option(
        2.0, "--mid_sentence_detection_pause", help="pause within a sentence", low=0, high=60
    )
    wake_words_sensitivity: float = option(
        0.5, "--wake_words_sensitivity", help="0 to 1", low=0, high=1
    )
    wake_word_timeout: float = option(5.0, "--wake_word_timeout", help="seconds", low=0, high=3_600)
    wake_word_activation_delay: float = option(
        0.0, "--wake_word_activation_delay", help="seconds", low=0, high=3_600
    )
    wakeword_backend: str = option("none", "--wakeword_backend", help="pvporcupine or oww")
    openwakeword_model_paths: tuple[str, ...] = option(
        (), "--openwakeword_model_paths", nargs="*", type=str, help="paths of OpenWakeWord models"
    )
    openwakeword_inference_framework: str = option(
        "tensorflow", "--openwakeword_inference_framework", help="onnx or tflite"
    )
    wake_word_buffer_duration: float = option(
        1.0, "--wake_word_buffer_duration", help="seconds", low=0, high=60
    )
    pre_recording_buffer_duration: float = option(
        1.0,
        "--pre_recording_buffer_duration",
        help="seconds before speech was found that belong to a recording",
        low=0,
        high=60,
    )
    ensure_sentence_starting_uppercase: bool = option(
        True, "--ensure_sentence_starting_uppercase", help="begin each text in upper case"
    )
    ensure_sentence_ends_with_period: bool = option(
        True, "--ensure_sentence_ends_with_period", help="end each text with a full stop"
    )
    max_recording_s: float = option(
        24.0,
        "--max-recording",
        help="seconds after which a recording is cut at its next pause, at the latest a quarter "
        "later: nobody waits long behind it, and one window of Whisper (30 s) holds it",
        low=2,
        high=3_600,
    )
    max_waiting_chunks: int = option(
        64,
        "--max-waiting-chunks",
        help="chunks of 32 ms that may wait for a recorder before its audio is held back",
        low=1,
        high=10_000,
    )
    max_waiting_finals: int = option(
        2,
        "--max-waiting-finals",
        help="recordings that may wait for their text before a session's audio is held back",
        low=0,
        high=7,
    )
    final_attempts: int = option(
        3,
        "--final-attempts",
        help="times that a failing final transcription is tried",
        low=1,
        high=100,
    )
