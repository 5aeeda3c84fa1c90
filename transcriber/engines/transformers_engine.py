"""Loads what :mod:`transcriber.engines.transformers_whisper` runs.

The server does not require transformers: who wants this engine installs it.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from common.recognition_settings import EngineSettings
from transcriber.engines.base import AudioRequest, EngineError
from transcriber.engines.realtimestt_engine import warm_up_audio

log = logging.getLogger(__name__)

NAME: Final = "transformers_whisper"
CPU_REALTIME_SHARE: Final = 0.5


def create_transformers_engines(options: EngineSettings) -> tuple[Any, Any]:
    """Load and warm up the engine for finals, and the one for partials unless it is the same.

    Raises:
        EngineError: one cannot be had; the message says what to do.
    """
    model = options.model or "openai/whisper-large-v3-turbo"
    final = _create(options, model, options.batch, realtime=False)
    shared = options.use_main_model_for_realtime or options.rt_model == model
    if shared or not options.enable_realtime_transcription:
        return final, None
    return final, _create(options, options.rt_model, options.realtime_batch_size, realtime=True)


def _create(options: EngineSettings, name: str, batch: int, realtime: bool) -> Any:
    try:
        import torch
        from transformers import AutoTokenizer, WhisperForConditionalGeneration

        from transcriber.engines.transformers_whisper import TransformersWhisper
    except ImportError as error:
        raise EngineError(
            f"--engine {NAME} needs the packages torch and transformers ({error}): install them "
            "beside the server (pip install transformers)"
        ) from None
    on_gpu = options.device != "cpu" and torch.cuda.is_available()
    if options.device == "cuda" and not on_gpu:
        log.warning("torch finds no CUDA device: the model runs on the CPU")
    device = f"cuda:{options.gpu_device_index}" if on_gpu else "cpu"
    try:
        model = WhisperForConditionalGeneration.from_pretrained(
            name,
            dtype=torch.float16 if on_gpu else torch.float32,
            cache_dir=options.root or None,
        )
        tokenizer = AutoTokenizer.from_pretrained(name, cache_dir=options.root or None)
        engine = TransformersWhisper(
            model.to(device).eval(),
            tokenizer,
            beam_size=options.beam_size_realtime if realtime else options.beam_size,
            beam_size_realtime=options.beam_size_realtime,
            initial_prompt=options.initial_prompt_realtime if realtime else options.initial_prompt,
            max_batch=max(1, batch),
            realtime_share=1.0 if on_gpu else CPU_REALTIME_SHARE,
        )
        for outcome in engine.transcribe([AudioRequest(warm_up_audio(), "en", realtime=realtime)]):
            if isinstance(outcome, Exception):
                raise outcome
    except Exception as error:  # of many libraries: turned into what a person can act on
        flag = "--rt-model" if realtime else "--model"
        raise EngineError(
            f"--engine {NAME} cannot load model {name}: {error}. Give the folder or the hub's name "
            f"of a Whisper in transformers' format ({flag})"
        ) from error
    log.info("%s model %s runs on %s", NAME, name, device)
    return engine
