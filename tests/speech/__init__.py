"""Spoken sentences for the tests: 16 kHz mono 16-bit WAV files, and what is said in each.

They were synthesized with flite (`make_speech.py` makes them again); the embedded engine
recognises every word of them.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Final, NamedTuple

SAMPLE_RATE: Final = 16_000  # Hz
FOLDER: Final = Path(__file__).parent


class Sentence(NamedTuple):
    """One WAV file. `recognised` is pocketsphinx's text for it, in lower case."""

    name: str
    spoken: str
    recognised: str
    samples: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.wav"

    @property
    def duration_s(self) -> float:
        return self.samples / SAMPLE_RATE


def _read_sentences() -> dict[str, Sentence]:
    rows = json.loads((FOLDER / "sentences.json").read_text(encoding="utf-8"))
    return {name: Sentence(name, **row) for name, row in rows.items()}


SENTENCES: Final = _read_sentences()


def load(name: str) -> bytes:
    """The PCM of one sentence: int16 LE mono at 16 kHz, without silence around it."""
    with wave.open(str(SENTENCES[name].path)) as wav:
        pcm: bytes = wav.readframes(wav.getnframes())
    return pcm


def silence(duration_s: float) -> bytes:
    """PCM of nothing, to put before, between and after sentences."""
    return bytes(2 * round(duration_s * SAMPLE_RATE))
