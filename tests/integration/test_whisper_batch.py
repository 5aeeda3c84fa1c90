"""Requests of several sessions in one batch, against a single call of faster-whisper for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faster_whisper
import numpy as np
import pytest

from tests.speech import load
from transcriber.engines import whisper_batch
from transcriber.engines.base import AudioRequest, FloatAudio, Outcome, Transcript
from transcriber.engines.features import FeatureMaker
from transcriber.engines.whisper_batch import Spoken, Thresholds, WhisperBatch

PROMPT = "Incomplete thoughts end with dots. Yes..."
NO_THRESHOLDS = Thresholds(float("inf"), float("-inf"), 2.0)


def recording(name: str, seconds: float) -> FloatAudio:
    samples = np.frombuffer(load(name), "<i2")[: int(seconds * 16_000)]
    return samples.astype(np.float32) / np.float32(32768)


REQUESTS = [
    AudioRequest(recording(name, seconds), "en", use_prompt)
    for name, seconds in (("bridge", 0.4), ("mountains", 1.5), ("numbers", 3.0))
    for use_prompt in (True, False)
]


@pytest.fixture(scope="module")
def model(tiny_whisper: Path) -> Any:
    return faster_whisper.WhisperModel(str(tiny_whisper), device="cpu", cpu_threads=1)


def batch_of(
    model: Any, thresholds: Thresholds = NO_THRESHOLDS, beam_size: int = 5, **options: Any
) -> WhisperBatch:
    return WhisperBatch(
        model,
        beam_size=beam_size,
        beam_size_realtime=3,
        initial_prompt=PROMPT,
        suppress_tokens=options.pop("suppress_tokens", [-1]),
        max_batch=32,
        thresholds=thresholds,
        **options,
    )


def texts(outcomes: Sequence[Outcome]) -> list[str]:
    assert all(isinstance(outcome, Transcript) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Transcript)]


@pytest.mark.parametrize(
    "beam_size, options", [(5, {}), (1, {"suppress_tokens": [], "normalize": True})]
)
def test_a_batch_gives_each_what_a_call_of_its_own_gives(
    model: Any, beam_size: int, options: dict[str, Any]
) -> None:
    """Over lengths, prompts and options, token by token.

    The model's tokens are bytes, so that equal texts are equal tokens; it knows one language only.
    Prompts of different length in one batch made CTranslate2 throw.
    """
    batch = batch_of(model, beam_size=beam_size, **options)
    together = texts(batch.transcribe(REQUESTS))
    assert together == [batch.alone(request).text for request in REQUESTS]
    assert len(set(together)) > 3


def test_partials_are_decoded_with_their_own_beam(model: Any) -> None:
    batch = batch_of(model)
    partials = [request._replace(realtime=True) for request in REQUESTS]
    assert texts(batch.transcribe(partials)) == [batch.alone(p).text for p in partials]


def test_features_may_be_computed_beforehand(model: Any) -> None:
    batch = batch_of(model)
    maker = FeatureMaker()
    assert maker.of(REQUESTS[0]) is None, "none are made unless they are wanted"
    maker.bins = batch.feature_bins
    prepared = [request._replace(features=maker.of(request)) for request in REQUESTS]
    assert all(request.features is not None for request in prepared)
    assert texts(batch.transcribe(prepared)) == texts(batch.transcribe(REQUESTS))


def counted(batch: WhisperBatch, monkeypatch: pytest.MonkeyPatch) -> list[AudioRequest]:
    """Requests that go on alone."""
    calls: list[AudioRequest] = []
    alone = batch.alone

    def count(request: AudioRequest) -> Spoken:
        calls.append(request)
        return alone(request)

    monkeypatch.setattr(batch, "alone", count)
    return calls


def test_what_overruns_its_length_goes_on_alone_and_is_whole(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(model, beam_size=1)  # a wider beam may find a shorter end instead
    whole = texts(batch.transcribe(REQUESTS))
    monkeypatch.setattr(whisper_batch, "TOKENS_AT_LEAST", 4)
    monkeypatch.setattr(whisper_batch, "TOKENS_PER_S", 0)
    calls = counted(batch, monkeypatch)
    assert texts(batch.transcribe(REQUESTS)) == whole
    assert 0 < len(calls) < len(REQUESTS)


def test_what_is_too_unlikely_is_tried_again_alone_and_only_that(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(model, Thresholds(log_probability=-0.1))
    calls = counted(batch, monkeypatch)
    outcomes = batch.transcribe(REQUESTS)
    assert all(isinstance(outcome, Transcript) for outcome in outcomes)
    assert 0 < len(calls) < len(REQUESTS)
    partials = [request._replace(realtime=True) for request in REQUESTS]
    calls.clear()
    batch.transcribe(partials)
    assert not calls, "nobody waits for a better partial"


def test_what_the_model_takes_for_silence_is_no_text(model: Any) -> None:
    batch = batch_of(model, Thresholds(log_probability=1.0, no_speech=-1.0))
    assert texts(batch.transcribe(REQUESTS[:3])) == ["", "", ""]
