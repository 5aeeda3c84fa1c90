"""Whether what a client got is what was said to it, and nothing that was said to another."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt

from tests.speech import SENTENCES, load


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


def samples_of(pcm: bytes) -> npt.NDArray[np.float32]:
    """int16 PCM as samples from -1 to 1."""
    return (np.frombuffer(pcm, np.int16) / 32768).astype(np.float32)


def correlation(name: str, audio: npt.NDArray[np.float32]) -> float:
    """How much of a sentence's samples are in ``audio`` (-1 to 1), wherever: 1 is all of them."""
    spoken = samples_of(load(name))
    size = 1 << (len(audio) + len(spoken)).bit_length()
    product = np.fft.rfft(audio, size) * np.conj(np.fft.rfft(spoken, size))
    return float(np.fft.irfft(product, size).max() / (spoken @ spoken))


def is_audio_of(name: str, audio: npt.NDArray[np.float32]) -> bool:
    """Whether ``audio`` is this sentence, with silence around it, and of no other."""
    spoken = samples_of(load(name))
    same_energy = abs(audio @ audio / (spoken @ spoken) - 1) < 0.01
    return bool(same_energy) and correlation(name, audio) > 0.99
