"""When each word of a recording was said: from an engine's seconds to samples of the session."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from common.envelope import Word
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ

MAX_WORDS: Final = 2_000
"""A recording with more has none: no recording is so long."""
MAX_WORD_CHARS: Final = 128
UNKNOWN: Final = -1.0


def word_times(
    metadata: Mapping[str, Any] | None, start_sample: int, end_sample: int
) -> tuple[Word, ...]:
    """A recording's words in audio time; none where the engine tells none, or tells nonsense.

    Args:
        metadata: of the transcript (:class:`transcriber.engines.base.Transcript`).
        start_sample: of the session, where the audio of the request began.
        end_sample: where the recording stopped; no word lies outside of it.
    """
    told = metadata.get("words") if metadata else None
    if not isinstance(told, list) or len(told) > MAX_WORDS:
        return ()
    words: list[Word] = []
    earliest = start_sample
    for each in told:
        word = _word(each, start_sample, earliest, end_sample)
        if word is None:
            return ()
        words.append(word)
        earliest = word.start_sample
    return tuple(words)


def _word(told: Any, origin: int, earliest: int, latest: int) -> Word | None:
    try:
        text = str(told["word"]).strip()
        begin, end = float(told["start"]), float(told["end"])
        probability = float(told.get("probability", UNKNOWN))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if not text or len(text) > MAX_WORD_CHARS or not all(map(math.isfinite, (begin, end))):
        return None
    start_sample = min(max(earliest, origin + round(begin * SAMPLE_RATE_HZ)), latest)
    end_sample = min(max(start_sample, origin + round(end * SAMPLE_RATE_HZ)), latest)
    sure = probability if 0 <= probability <= 1 else UNKNOWN
    return Word(text, start_sample, end_sample, sure)
