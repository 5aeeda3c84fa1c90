"""Append-only text out of partial results that may be revised."""

from __future__ import annotations


class StableText:
    """What of one utterance's partials has settled, word by word.

    A word has settled once two partials in a row agree on it and on all words before it, and it is
    not the last of them, which may still grow. What was given out is never taken back.
    """

    def __init__(self) -> None:
        self._given: list[str] = []
        self._last: list[str] = []

    @property
    def text(self) -> str:
        """All that was given out."""
        return " ".join(self._given)

    def partial(self, text: str) -> str:
        """What to append now; "" when nothing more has settled."""
        words = text.split()
        agreed = 0
        for before, now in zip(self._last, words, strict=False):
            if before != now:
                break
            agreed += 1
        self._last = words
        return self._append(words[: min(agreed, len(words) - 1)])

    def final(self, text: str) -> str:
        """What to append so that the final text stands there; "" when it cannot be reached."""
        return self._append(text.split())

    def _append(self, words: list[str]) -> str:
        known = len(self._given)
        if len(words) <= known or words[:known] != self._given:
            return ""
        more = " ".join(words[known:])
        self._given = words
        return f" {more}" if known else more
