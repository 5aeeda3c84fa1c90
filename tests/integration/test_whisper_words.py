"""Words and languages of a batch, against a single call of faster-whisper for each recording.

The model knows several languages and babbles short words; its attention is sharp, so that times do
not hang on the last bit of a sum.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import faster_whisper
import numpy as np
import pytest

from tests.speech import load
from tests.whisper_model import tiny_whispers
from transcriber.engines.base import AudioRequest, FloatAudio, Transcript
from transcriber.engines.whisper_batch import Thresholds, WhisperBatch
from transcriber.engines.word_alignment import passes

PROMPT = "Incomplete thoughts end with dots. Yes..."
NO_THRESHOLDS = Thresholds(float("inf"), float("-inf"), 2.0)
SOUGHT = ("word", "start", "end", "probability")


def recording(name: str, seconds: float) -> FloatAudio:
    samples = np.frombuffer(load(name), "<i2")[: int(seconds * 16_000)]
    return samples.astype(np.float32) / np.float32(32768)


OF_ALL_KINDS = [
    AudioRequest(recording(name, seconds), language, use_prompt, word_timestamps=True)
    for name, seconds, language, use_prompt in (
        ("dog", 0.7, "en", False),
        ("mountains", 1.5, None, False),
        ("numbers", 3.0, "de", True),
        ("numbers", 3.0, "en", False),
        ("garden", 4.5, "de", False),
        ("garden", 4.5, None, False),
    )
]
EQUALLY_LONG = [
    AudioRequest(recording(name, 1.0), "fr", use_prompt=False, word_timestamps=True)
    for name in ("city", "river", "experiment", "bridge", "book")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whispers(tmp_path_factory) / "multilingual"


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return faster_whisper.WhisperModel(str(folder), device="cpu", cpu_threads=1)


def batch_of(model: Any, thresholds: Thresholds = NO_THRESHOLDS) -> WhisperBatch:
    return WhisperBatch(
        model,
        beam_size=2,
        beam_size_realtime=1,
        initial_prompt=PROMPT,
        suppress_tokens=[-1],
        max_batch=32,
        thresholds=thresholds,
    )


def single_call(model: Any, request: AudioRequest) -> Any:
    """What faster-whisper makes of a recording's first window, and what it says of it.

    After that it goes on where the last word ended, with what may be silence.
    """
    segments, info = model.transcribe(
        request.audio,
        language=request.language,
        beam_size=2,
        initial_prompt=PROMPT if request.use_prompt else None,
        suppress_tokens=[-1],
        temperature=0.0,
        without_timestamps=True,
        word_timestamps=True,
        no_speech_threshold=None,
    )
    return next(iter(segments)), info


@pytest.mark.parametrize(
    "requests", [OF_ALL_KINDS, EQUALLY_LONG], ids=["of all kinds", "equally long"]
)
def test_a_batch_gives_each_the_words_of_a_call_of_its_own(
    model: Any, requests: list[AudioRequest]
) -> None:
    """Texts, languages and times are equal; probabilities to the rounding of sums.

    Some texts had been cut off: CTranslate2 leaves half of what it is told to the text. And times
    of equally long recordings had differed: what pads a batch's texts counted as text.
    """
    together = batch_of(model).transcribe(requests)
    words = 0
    for request, outcome in zip(requests, together, strict=True):
        segment, info = single_call(model, request)
        assert isinstance(outcome, Transcript), outcome
        assert outcome.text == segment.text.strip()
        assert outcome.info.language == info.language
        ours = [tuple(word[name] for name in SOUGHT) for word in outcome.metadata["words"]]
        theirs = [tuple(getattr(word, name) for name in SOUGHT) for word in segment.words]
        assert [word[:3] for word in ours] == [word[:3] for word in theirs]
        assert [word[3] for word in ours] == pytest.approx([word[3] for word in theirs], rel=1e-3)
        words += len(ours)
    assert words > 5 * len(requests)
    assert len({outcome.text for outcome in together if isinstance(outcome, Transcript)}) > 3


def test_only_those_who_ask_have_words(model: Any) -> None:
    requests = [OF_ALL_KINDS[-1], OF_ALL_KINDS[-1]._replace(word_timestamps=False)]
    asked, unasked = batch_of(model).transcribe(requests)
    assert isinstance(asked, Transcript)
    assert isinstance(unasked, Transcript)
    assert asked.text == unasked.text
    assert asked.metadata["words"]
    assert not unasked.metadata


def test_what_is_tried_again_alone_has_its_words(model: Any) -> None:
    """Of the text that it has then: its retries are random."""
    (outcome,) = batch_of(model, Thresholds(log_probability=0.0)).transcribe(OF_ALL_KINDS[-1:])
    assert isinstance(outcome, Transcript)
    words = [word["word"] for word in outcome.metadata["words"]]
    assert "".join(words).strip() == outcome.text


def test_what_the_model_takes_for_silence_has_no_words(model: Any) -> None:
    batch = batch_of(model, Thresholds(log_probability=1.0, no_speech=-1.0))
    (outcome,) = batch.transcribe(OF_ALL_KINDS[-1:])
    assert outcome == Transcript("", outcome.info) if isinstance(outcome, Transcript) else False


def test_a_model_that_cannot_tell_when_words_were_said_gives_the_text(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    config = json.loads((copy / "config.json").read_text())
    del config["alignment_heads"]
    (copy / "config.json").write_text(json.dumps(config))
    model = faster_whisper.WhisperModel(str(copy), device="cpu", cpu_threads=1)
    (outcome,) = batch_of(model).transcribe(OF_ALL_KINDS[-1:])
    assert isinstance(outcome, Transcript)
    assert outcome.text
    assert not outcome.metadata
    assert "the times of words cannot be had of this model" in caplog.text


def test_equally_long_recordings_with_different_texts_are_aligned_in_two_calls() -> None:
    first, second = passes([5, 7, 6], [200, 200, 201])
    assert (first.frames, first.right) == ([200, 200, 199], [0, 1])
    assert (second.frames, second.right) == ([198, 200, 201], [2])
    for each in (first, second):
        assert len({frames // 2 for frames in each.frames}) == 2


def test_all_others_are_aligned_in_one() -> None:
    for tokens, frames in (([5, 7], [200, 202]), ([5, 5], [200, 200]), ([5], [1])):
        (only,) = passes(tokens, frames)
        assert only.frames == frames
        assert only.right == [*range(len(frames))]
