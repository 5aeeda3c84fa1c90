"""Reads audio files as int16 mono blocks at their own rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import StreamError

FULL_SCALE: Final = 32768


class AudioFileError(StreamError):
    """An audio file cannot be read; the message names it and the reason."""


class AudioInfo(NamedTuple):
    """What a file holds."""

    sample_rate_hz: int
    channels: int
    samples: int
    """Per channel."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate_hz


class AudioFile:
    """An audio file of any format that libsndfile reads (WAV, FLAC, OGG, MP3, ...).

    Raises:
        AudioFileError: it is missing, or not audio.
    """

    def __init__(self, path: str | Path) -> None:
        import soundfile  # not at the top: a client that streams raw PCM can do without

        try:
            self._file: Any = soundfile.SoundFile(str(path))
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioFileError(f"cannot read {path}: {error}") from None
        self.info = AudioInfo(self._file.samplerate, self._file.channels, self._file.frames)

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, samples: int) -> Iterator[bytes]:
        """int16 LE mono PCM, ``samples`` at a time; 16-bit mono comes through bit for bit."""
        # libsndfile does not scale floating-point samples when it is asked for integers
        is_float = self._file.subtype in ("FLOAT", "DOUBLE", "VORBIS", "OPUS") or (
            "MPEG" in self._file.subtype
        )
        dtype = "float32" if is_float else "int16"
        while len(block := self._file.read(samples, dtype=dtype, always_2d=True)):
            yield _mono(block).astype("<i2", copy=False).tobytes()


def _mono(block: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """int16 samples out of a (samples, channels) block of int16 or float32."""
    if block.dtype == np.int16 and block.shape[1] == 1:
        flat: npt.NDArray[np.int16] = block[:, 0]
        return flat
    mixed = block.mean(axis=1, dtype=np.float64)
    if block.dtype == np.float32:
        mixed = np.clip(mixed * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1)
    rounded: npt.NDArray[np.int16] = np.rint(mixed).astype(np.int16)
    return rounded
