"""What the clients of fault tests say: each its own sentences, with pauses between them."""

from __future__ import annotations

import functools
import random
from typing import Final

import numpy as np

from tests import speech as recordings

RATE_HZ: Final = recordings.SAMPLE_RATE
PAUSE_S: Final = 1.2
_SHORT_S: Final = 2.6
"""Sentences up to this long are used: there is little CPU time to recognise them."""


@functools.cache
def sentences() -> tuple[bytes, ...]:
    """Spoken sentences: int16 mono PCM at 16 kHz."""
    found = [
        recordings.load(name)
        for name, sentence in recordings.SENTENCES.items()
        if sentence.duration_s <= _SHORT_S
    ]
    assert len(found) >= 8, "each of eight clients is to begin with another sentence"
    return tuple(found)


def speech(number: int, count: int = 2) -> bytes:
    """What client ``number`` says: ``count`` sentences, each with a pause after it.

    Pauses are faint noise and not zeros, so that any sample in the wrong place is noticed.
    """
    choice = random.Random(number)
    noise = np.random.default_rng(number)
    parts = []
    for index in range(count):
        pause_s = PAUSE_S + 0.3 * choice.random()
        pause = noise.integers(-3, 4, int(pause_s * RATE_HZ), dtype=np.int16)
        parts += [sentences()[(number + index) % len(sentences())], pause.tobytes()]
    return b"".join(parts)
