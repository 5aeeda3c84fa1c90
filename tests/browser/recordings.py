"""What the fake microphone says."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final, NamedTuple

from tests.speech import SAMPLE_RATE, SENTENCES, load, silence

PAGE_FRAME_SAMPLES: Final = 1024
"""How many samples of a file the page puts into a frame."""
LEAD_IN_S: Final = 0.6
PAUSE_S: Final = 1.5


class Recording(NamedTuple):
    """A WAV file and what is said in it."""

    path: Path
    names: tuple[str, ...]
    samples: int

    @property
    def sentences(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def frames(self) -> int:
        """How many frames the page makes of the file."""
        return -(-self.samples // PAGE_FRAME_SAMPLES)

    def recognised_in(self, text: str) -> bool:
        """Whether at least three of five words are in ``text``."""
        words = {word for name in self.names for word in SENTENCES[name].recognised.split()}
        heard = {word.strip(".,?!").lower() for word in text.split()}
        return 5 * len(heard & words) >= 3 * len(words)


def record(folder: Path, *names: str, pause_s: float = PAUSE_S) -> Recording:
    """Sentences by name, with silence before, between and after them, as a WAV file."""
    pcm = silence(LEAD_IN_S) + silence(pause_s).join(map(load, names)) + silence(PAUSE_S)
    path = folder / f"{'-'.join(names)}.wav"
    with wave.open(str(path), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(SAMPLE_RATE)
        recording.writeframes(pcm)
    return Recording(path, names, len(pcm) // 2)
