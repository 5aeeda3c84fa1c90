"""An engine's word times become positions in the session; nonsense becomes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import Word
from transcriber.recorder.word_times import MAX_WORDS, word_times


def told(*words: tuple[str, float, float]) -> dict[str, Any]:
    return {"words": [{"word": w, "start": start, "end": end} for w, start, end in words]}


def test_seconds_of_the_recording_become_samples_of_the_session() -> None:
    metadata = told((" new", 0.5, 0.75), ("bridge", 0.75, 1.0))
    metadata["words"][1]["probability"] = 0.25
    assert word_times(metadata, 32_000, 64_000) == (
        Word("new", 40_000, 44_000),
        Word("bridge", 44_000, 48_000, 0.25),
    )


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"words": None},
        {"words": [{"word": "a", "start": 0}]},
        {"words": [{"word": "", "start": 0, "end": 1}]},
        {"words": [{"word": "a", "start": "soon", "end": 1}]},
        {"words": [{"word": "a", "start": float("nan"), "end": 1}]},
        {"words": [{"word": "a", "start": 0, "end": float("inf")}]},
        {"words": [{"word": "a" * 200, "start": 0, "end": 1}]},
        {"words": ["a"]},
        {"words": [{"word": "a", "start": 0, "end": 1}] * (MAX_WORDS + 1)},
    ],
)
def test_what_is_not_told_or_cannot_be_is_no_words_at_all(metadata: dict[str, Any] | None) -> None:
    assert word_times(metadata, 0, 16_000) == ()


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), max_size=8),
    st.integers(0, 10**6),
    st.integers(0, 10**5),
)
def test_no_word_lies_outside_of_its_recording_or_before_the_one_before(
    times: list[tuple[float, float]], begin: int, length: int
) -> None:
    words = word_times(told(*(("w", *pair) for pair in times)), begin, begin + length)
    assert len(words) == len(times)
    starts = [word.start_sample for word in words]
    assert starts == sorted(starts)
    assert all(begin <= w.start_sample <= w.end_sample <= begin + length for w in words)


@pytest.mark.parametrize("probability", [2.0, -0.5, float("nan")])
def test_a_probability_that_is_none_is_unknown(probability: float) -> None:
    metadata = told(("a", 0, 1))
    metadata["words"][0]["probability"] = probability
    assert word_times(metadata, 0, 16_000) == (Word("a", 0, 16_000),)
