"""The engines of RealtimeSTT's factory, faster-whisper first among them."""

from __future__ import annotations

import importlib.resources
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import soundfile
from RealtimeSTT.transcription_engines import (
    TranscriptionEngineConfig,
    UnsupportedTranscriptionEngineError,
    create_transcription_engine,
    get_supported_transcription_engines,
)

from common.recognition_settings import EngineSettings
from transcriber.engines.base import (
    AudioRequest,
    EngineError,
    FloatAudio,
    Outcome,
    Transcript,
    TranscriptInfo,
)
from transcriber.engines.cuda_libraries import preload_cublas
from transcriber.engines.whisper_batch import WhisperBatch

log = logging.getLogger(__name__)

_CPU_REALTIME_SHARE: Final = 0.5


class RealtimeSTTEngine:
    """One of RealtimeSTT's engines; ``batch``, where there is one, takes several requests."""

    concurrency = 1

    def __init__(self, name: str, engine: Any, realtime_share: float, batch: WhisperBatch | None):
        self.name = name
        self.realtime_share = realtime_share
        self.max_batch = batch.max_batch if batch is not None else 1
        self.feature_bins = batch.feature_bins if batch is not None else 0
        self._engine = engine
        self._batch = batch

    def warm_up(self) -> None:
        """Transcribe a second of speech: the first use of a model is slow."""
        audio = warm_up_audio()
        self._engine.warmup(audio)
        if self._batch is not None:
            for outcome in self._batch.transcribe([AudioRequest(audio, "en")]):
                if isinstance(outcome, Exception):
                    raise outcome

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Transcribe ``requests``, together those that can be."""
        outcomes: dict[int, Outcome] = {}
        if self._batch is not None:
            fitting = [i for i, request in enumerate(requests) if self._batch.accepts(request)]
            if fitting:
                together = self._batch.transcribe([requests[i] for i in fitting])
                outcomes.update(zip(fitting, together, strict=True))
        for index, request in enumerate(requests):
            if index not in outcomes:
                outcomes[index] = self._transcribe(request)
        return [outcomes[index] for index in range(len(requests))]

    def close(self) -> None:
        """Release what the engine holds beyond memory."""
        close = getattr(self._engine, "close", None)
        if callable(close):
            close()

    def _transcribe(self, request: AudioRequest) -> Outcome:
        options = {"word_timestamps": True} if request.word_timestamps else {}
        try:
            result = self._engine.transcribe(
                request.audio,
                language=request.language,
                use_prompt=request.use_prompt,
                **options,
            )
        except Exception as error:  # any library's error is this request's outcome
            return error
        info = TranscriptInfo(result.info.language, result.info.language_probability or 0.0)
        return Transcript(result.text, info, dict(result.metadata or {}))


def create_realtimestt_engines(
    options: EngineSettings,
) -> tuple[RealtimeSTTEngine, RealtimeSTTEngine | None]:
    """Load and warm up the engine for finals, and the one for partials unless it is the same.

    Raises:
        EngineError: one cannot be had; the message says what to do.
    """
    device = choose_device(options.device)
    if device == "cuda":
        preload_cublas()
    model = options.model or "large-v2"
    final = _create(options, device, model, realtime=False)
    shared = options.use_main_model_for_realtime or options.rt_model == model
    if shared or not options.enable_realtime_transcription:
        return final, None
    return final, _create(options, device, options.rt_model, realtime=True)


def choose_device(wanted: str) -> str:
    """``cuda`` where CTranslate2 finds a GPU, unless ``wanted`` is ``cpu``."""
    if wanted == "cpu":
        return "cpu"
    import ctranslate2

    if ctranslate2.get_cuda_device_count() > 0:
        return "cuda"
    if wanted == "cuda":
        log.warning("no CUDA device found: the model runs on the CPU")
    return "cpu"


def _create(options: EngineSettings, device: str, model: str, realtime: bool) -> RealtimeSTTEngine:
    config = TranscriptionEngineConfig(
        model=model,
        download_root=options.root or None,
        compute_type=options.compute_type,
        gpu_device_index=options.gpu_device_index,
        device=device,
        beam_size=options.beam_size_realtime if realtime else options.beam_size,
        initial_prompt=(options.initial_prompt_realtime if realtime else options.initial_prompt)
        or None,
        suppress_tokens=list(options.suppress_tokens),
        batch_size=options.realtime_batch_size if realtime else options.batch,
        vad_filter=options.faster_whisper_vad_filter,
        normalize_audio=options.normalize_audio,
    )
    try:
        raw = create_transcription_engine(options.engine_name, config)
        batch = None
        if options.engine_name == "faster_whisper" and not options.faster_whisper_vad_filter:
            batch = WhisperBatch(
                # RealtimeSTT wraps the model for batches of its own kind.
                raw.model.model if config.batch_size > 0 else raw.model,
                beam_size=config.beam_size,
                beam_size_realtime=options.beam_size_realtime,
                initial_prompt=config.initial_prompt,
                suppress_tokens=config.suppress_tokens,
                max_batch=max(1, config.batch_size),
                normalize=options.normalize_audio,
            )
        engine = RealtimeSTTEngine(
            options.engine_name, raw, 1.0 if device == "cuda" else _CPU_REALTIME_SHARE, batch
        )
        engine.warm_up()
    except Exception as error:  # of many libraries: turned into what a person can act on
        raise _explained(options, model, realtime, error) from error
    log.info("%s model %s runs on %s", options.engine_name, model, device)
    return engine


def _explained(
    options: EngineSettings, model: str, realtime: bool, error: Exception
) -> EngineError:
    if isinstance(error, UnsupportedTranscriptionEngineError):
        names = ", ".join(
            ["pocketsphinx", "null", "transformers_whisper", *get_supported_transcription_engines()]
        )
        return EngineError(f"--engine {options.engine} is unknown; there are: {names}")
    if options.engine_name != "faster_whisper" or Path(model).is_dir():
        return EngineError(f"engine {options.engine_name} cannot load model {model}: {error}")
    flag = "--rt-model" if realtime else "--model"
    folder = f" to {options.root}" if options.root else ""
    return EngineError(
        f"the weights of faster-whisper model '{model}' cannot be had "
        f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}). "
        f"Do one of these: start once with network access, which downloads them{folder}; give "
        f"the folder of a converted model ({flag} PATH); or use the embedded engine, which needs "
        "no download (--engine pocketsphinx)."
    )


def warm_up_audio() -> FloatAudio:
    """A second of speech."""
    wave = importlib.resources.files("RealtimeSTT.assets") / "warmup_audio.wav"
    with importlib.resources.as_file(wave) as path:
        audio: FloatAudio = soundfile.read(path, dtype="float32")[0]
    return audio
