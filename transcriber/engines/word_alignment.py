"""When the words of a batch's recordings were said: by faster-whisper's rules, each for itself.

faster-whisper's own batches are the windows of one recording: where speech ended in one window
bears on the words of the next. And CTranslate2's ``align`` gives an item of a batch the times of a
call of its own only if it cuts off what pads the shorter texts, which it does only where the
recordings' lengths differ: otherwise the padding counts as text when attention is normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import faster_whisper

PREPENDED: Final = "\"'“¿([{-"
"""Punctuation that belongs to the word after it, and to the one before it: faster-whisper's."""
APPENDED: Final = "\"'.。,，!！?？:：”)]}、"


class Item(NamedTuple):
    """One recording of a batch, as it was decoded."""

    tokens: list[int]
    """None: its words are not asked for."""
    language: str
    frames: int
    """Feature frames of its audio, without what pads it to a window."""


class Pass(NamedTuple):
    """A call of ``align``."""

    frames: list[int]
    """What it is told of each item."""
    right: list[int]
    """Items that it gives the right times."""


class WordAligner:
    """Finds the words of a batch that a ``faster_whisper.WhisperModel`` has encoded and decoded.

    Args:
        tokenizer: the model's, for a language.
    """

    def __init__(self, model: Any, tokenizer: Callable[[str], Any]) -> None:
        self._model = model
        self._tokenizer = tokenizer

    def words(self, items: Sequence[Item], encoded: Any) -> list[list[dict[str, Any]]]:
        """Each item's words, with ``word``, ``start`` and ``end`` in s, and ``probability``.

        Args:
            encoded: the batch, a row for each item.

        Raises:
            RuntimeError: the model does not say which of its heads follow the speech.
        """
        found: list[list[dict[str, Any]]] = [[] for _ in items]
        # A call knows one language; the rows of others are there, and have no text.
        for language in dict.fromkeys(item.language for item in items if item.tokens):
            tokenizer = self._tokenizer(language)
            texts = [
                [token for token in item.tokens if token < tokenizer.eot]
                if item.language == language
                else []
                for item in items
            ]
            for each in passes([len(text) for text in texts], [item.frames for item in items]):
                aligned = self._model.find_alignment(tokenizer, texts, encoded, each.frames)
                for row in each.right:
                    if texts[row]:
                        found[row] = self._timed(
                            tokenizer, texts[row], aligned[row], items[row].frames
                        )
        return found

    def _timed(
        self, tokenizer: Any, tokens: list[int], aligned: Any, frames: int
    ) -> list[dict[str, Any]]:
        """The words of an item, as of the first window of a recording."""
        end_s = frames / self._model.frames_per_second
        segment: dict[str, Any] = {"tokens": tokens, "seek": 0, "start": 0.0, "end": end_s}
        faster_whisper.WhisperModel.add_word_timestamps(
            _Aligned(self._model.frames_per_second, aligned),
            [[segment]],
            *(tokenizer, None, frames, PREPENDED, APPENDED, 0.0),
        )
        return [
            {
                "word": word["word"],
                "start": float(word["start"]),
                "end": float(word["end"]),
                "probability": float(word["probability"]),
            }
            for word in segment["words"]
        ]


class _Aligned:
    """A model that has found an alignment already."""

    def __init__(self, frames_per_second: float, aligned: Any) -> None:
        self.frames_per_second = frames_per_second
        self._aligned = aligned

    def find_alignment(self, *_: Any) -> list[Any]:
        return [self._aligned]


def passes(tokens: Sequence[int], frames: Sequence[int]) -> list[Pass]:
    """The calls of ``align`` after which each item has the times that a call of its own gives.

    Args:
        tokens: of each item's text.
        frames: of each item's audio; two of them are one of the encoder's.
    """
    everyone = list(range(len(frames)))
    differ = len({size // 2 for size in frames}) > 1
    if differ or len(set(tokens)) == 1:
        return [Pass(list(frames), everyone)]
    # One of them is said to be of another length, and is looked at in a second call.
    return [
        Pass([*frames[:-1], _another(frames[-1])], everyone[:-1]),
        Pass([_another(frames[0]), *frames[1:]], everyone[-1:]),
    ]


def _another(frames: int) -> int:
    return frames - 2 if frames > 3 else frames + 2
