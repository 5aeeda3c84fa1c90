"""Whisper on torch: requests of several sessions in one batch, against a call for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.speech import load
from tests.whisper_model import LANGUAGES, build_tiny_transformers
from transcriber.engines import EngineError, EngineSettings, create_engines
from transcriber.engines.base import AudioRequest, FloatAudio, Outcome, Transcript
from transcriber.engines.features import FeatureMaker
from transcriber.engines.whisper_batch import Thresholds

if TYPE_CHECKING:  # seconds, for whoever collects the tests
    from transcriber.engines.transformers_whisper import TransformersWhisper

PROMPT = "Incomplete thoughts end with dots. Yes..."
WINDOW_S = 3
"""Of the model's audio: a tenth of Whisper's, and it costs less than that."""
NO_THRESHOLDS = Thresholds(float("inf"), float("-inf"), 2.0)


def recording(name: str, seconds: float) -> FloatAudio:
    samples = np.frombuffer(load(name), "<i2")[: int(seconds * 16_000)]
    return samples.astype(np.float32) / np.float32(32768)


REQUESTS = [
    AudioRequest(recording(name, seconds), language, use_prompt)
    for name, seconds in (("bridge", 0.4), ("mountains", 1.5), ("numbers", 3.0))
    for language in ("en", "de")
    for use_prompt in (True, False)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_transformers(tmp_path_factory.mktemp("transformers"), window_s=WINDOW_S)


@pytest.fixture(scope="module")
def parts(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoTokenizer, WhisperForConditionalGeneration

    torch.set_num_threads(1)  # for so small a model a second one only spins
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    vocabulary = tokenizer.get_vocab()
    model.generation_config.lang_to_id = {
        f"<|{language}|>": vocabulary[f"<|{language}|>"] for language in LANGUAGES
    }
    return model, tokenizer


def engine_of(
    parts: tuple[Any, Any], thresholds: Thresholds = NO_THRESHOLDS, **options: Any
) -> TransformersWhisper:
    from transcriber.engines.transformers_whisper import TransformersWhisper

    return TransformersWhisper(*parts, initial_prompt=PROMPT, thresholds=thresholds, **options)


def texts(outcomes: Sequence[Outcome]) -> list[str]:
    assert all(isinstance(outcome, Transcript) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Transcript)]


@pytest.mark.parametrize("beam_size", [1, 5])
def test_a_batch_gives_each_what_a_call_of_its_own_gives(
    parts: tuple[Any, Any], beam_size: int
) -> None:
    """Over lengths, languages and prompts; the model's tokens are letters, so token by token."""
    engine = engine_of(parts, beam_size=beam_size)
    together = texts(engine.transcribe(REQUESTS))
    assert together == [texts(engine.transcribe([request]))[0] for request in REQUESTS]
    assert len(set(together)) > 3


def test_the_same_texts_as_transformers_own_generation(parts: tuple[Any, Any]) -> None:
    """Its features and its ``generate``, greedy, without a prompt before the task."""
    from transformers import WhisperFeatureExtractor

    model, tokenizer = parts
    engine = engine_of(parts, beam_size=1)
    request = AudioRequest(recording("numbers", 3.0), "en", False)
    extractor = WhisperFeatureExtractor(chunk_length=WINDOW_S)
    features = extractor(request.audio, sampling_rate=16_000, return_tensors="pt")
    vocabulary = tokenizer.get_vocab()
    task = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
    import torch
    from transformers import GenerationMixin

    tokens = GenerationMixin.generate(
        model,
        features.input_features,
        decoder_input_ids=torch.tensor([[vocabulary[name] for name in task]]),
        max_new_tokens=60,
    )
    expected = tokenizer.decode(tokens[0][len(task) :], skip_special_tokens=True).strip()
    assert texts(engine.transcribe([request])) == [expected]
    assert expected


def test_features_may_be_computed_beforehand(parts: tuple[Any, Any]) -> None:
    engine = engine_of(parts)
    maker = FeatureMaker()
    maker.bins = engine.feature_bins
    prepared = [request._replace(features=maker.of(request)) for request in REQUESTS]
    assert texts(engine.transcribe(prepared)) == texts(engine.transcribe(REQUESTS))


def test_an_unknown_language_or_too_long_a_recording_fails_alone(parts: tuple[Any, Any]) -> None:
    engine = engine_of(parts)
    odd = REQUESTS[0]._replace(language="xx")
    long = REQUESTS[0]._replace(audio=np.zeros(31 * 16_000, np.float32))
    first, second, third, fourth = engine.transcribe([odd, REQUESTS[1], long, REQUESTS[2]])
    assert isinstance(first, ValueError)
    assert isinstance(third, ValueError)
    assert texts([second, fourth]) == texts(engine.transcribe(REQUESTS[1:3]))


def test_each_language_is_detected_for_itself(parts: tuple[Any, Any]) -> None:
    engine = engine_of(parts, beam_size=1)
    unknown = [request._replace(language=None) for request in REQUESTS]
    together = engine.transcribe(unknown)
    alone = [engine.transcribe([request])[0] for request in unknown]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Transcript)
        assert isinstance(other, Transcript)
        assert one.info.language == other.info.language in LANGUAGES
        assert one.info.language_probability == pytest.approx(other.info.language_probability, 1e-3)


def test_what_is_too_unlikely_is_tried_again_alone_and_partials_are_not(
    parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(parts, Thresholds(log_probability=1.0), beam_size=1)
    sizes: list[int] = []
    decode = engine._decode

    def counted(encoded: Any, prompts: Sequence[list[int]], *rest: Any, **named: Any) -> Any:
        sizes.append(len(prompts))
        return decode(encoded, prompts, *rest, **named)

    monkeypatch.setattr(engine, "_decode", counted)
    requests = [request for request in REQUESTS if request.use_prompt][:2]
    assert len(engine.transcribe(requests)) == 2
    assert sizes == [2] + [1] * 10, "five temperatures each"
    sizes.clear()
    engine.transcribe([request._replace(realtime=True) for request in requests])
    assert sizes == [2]


def test_it_is_loaded_by_name_and_a_folder_without_a_model_is_explained(
    folder: Path, tmp_path: Path
) -> None:
    options = EngineSettings(
        engine="transformers_whisper",
        model=str(folder),
        use_main_model_for_realtime=True,
        device="cpu",
        batch=8,
    )
    engines = create_engines(options)
    assert (engines.final.name, engines.final.max_batch) == ("transformers_whisper", 8)
    assert texts(engines.final.transcribe(REQUESTS[:2]))
    with pytest.raises(EngineError, match="--model"):
        create_engines(EngineSettings(engine="transformers_whisper", model=str(tmp_path)))
