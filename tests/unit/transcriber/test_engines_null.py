"""The engine that recognises nothing."""

from __future__ import annotations

import numpy as np

from transcriber.engines import EngineSettings, create_engines
from transcriber.engines.base import AudioRequest, Engine, Transcript
from transcriber.engines.null import NullEngine


def request(samples: int) -> AudioRequest:
    return AudioRequest(np.zeros(samples, dtype=np.float32))


def test_each_request_is_answered_with_its_length_in_order() -> None:
    outcomes = NullEngine().transcribe([request(16_000), request(0), request(512)])
    assert outcomes == [
        Transcript("16000 samples"),
        Transcript("0 samples"),
        Transcript("512 samples"),
    ]


def test_the_same_audio_gives_the_same_text() -> None:
    """Fault tests compare the sentences of two runs."""
    engine = NullEngine()
    assert engine.transcribe([request(7)]) == engine.transcribe([request(7)])


def test_it_takes_whole_batches_and_any_share_of_partial_results() -> None:
    engine: Engine = NullEngine()
    assert engine.transcribe([]) == []
    assert len(engine.transcribe([request(1)] * engine.max_batch)) == engine.max_batch
    assert engine.realtime_share == 1.0


def test_it_is_made_by_name_for_finals_and_partials_alike() -> None:
    engines = create_engines(EngineSettings(engine="null"))
    assert engines.final.name == "null"
    assert engines.realtime is None
