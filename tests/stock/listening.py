"""Whether a text is what was said: of all sentences of the tests it must be the most like it."""

from __future__ import annotations

from difflib import SequenceMatcher

from tests.speech import SENTENCES


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return [word.strip(".,?!").lower() for word in text.split()]


def likeness(name: str, text: str) -> float:
    """From 0 to 1: how much of a sentence's words, in order, a text has."""
    return SequenceMatcher(None, SENTENCES[name].recognised.split(), words(text)).ratio()


def nearest(text: str) -> str:
    """The sentence that a text is most like."""
    return max(SENTENCES, key=lambda name: likeness(name, text))


def is_heard(name: str, text: str) -> bool:
    """Whether a text is this sentence, give or take a word, and no other."""
    return nearest(text) == name and likeness(name, text) >= 0.6
