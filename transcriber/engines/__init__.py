"""Speech engines, made from options. Imports the chosen one only."""

from __future__ import annotations

from common.interpreter import check

check("python -m transcriber.engines")  # which imports this first; for others it was asked before

import logging
import os
from typing import NamedTuple

from common.recognition_settings import EngineSettings
from transcriber.engines.base import Engine, EngineError

log = logging.getLogger(__name__)


class Engines(NamedTuple):
    """The arguments of a ``Scheduler``: for finals, and for partials if that is another one."""

    final: Engine
    realtime: Engine | None


def create_engines(options: EngineSettings) -> Engines:
    """Load and warm up engines. May run on any thread, such as beside ``recorder.preload``.

    Raises:
        EngineError: they cannot be had; the message says what to do.
    """
    if options.engine_name == "null":
        from transcriber.engines.null import NullEngine

        return Engines(NullEngine(), None)
    if options.engine_name == "pocketsphinx":
        return _pocketsphinx(options)
    if options.engine_name == "transformers_whisper":
        from transcriber.engines.transformers_engine import create_transformers_engines

        return Engines(*create_transformers_engines(options))
    from transcriber.engines.realtimestt_engine import create_realtimestt_engines

    return Engines(*create_realtimestt_engines(options))


def _pocketsphinx(options: EngineSettings) -> Engines:
    from transcriber.engines.pocketsphinx_engine import PocketSphinxEngine

    if options.model:
        log.warning("--model %s has no effect with --engine pocketsphinx", options.model)
    workers = options.engine_workers or min(4, os.cpu_count() or 1)
    final = PocketSphinxEngine(workers)
    realtime = PocketSphinxEngine(1, fast=True) if options.enable_realtime_transcription else None
    final.wait_until_warm()
    if realtime is not None:
        realtime.wait_until_warm()
    return Engines(final, realtime)


__all__ = ["Engine", "EngineError", "EngineSettings", "Engines", "create_engines"]
