"""Reads audio files as int16 mono blocks at their own rate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from ..wire import BYTES_PER_SAMPLE, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from .errors import StreamError

FULL_SCALE: Final = 32768
RAW_SUFFIXES: Final = (".raw", ".pcm")
"""Names of files without a header: int16 LE mono samples."""


class AudioFileError(StreamError):
    """Audio cannot be read; the message names the file and the reason."""


class AudioInfo(NamedTuple):
    """What a file holds."""

    sample_rate_hz: int
    channels: int
    samples: int
    """Per channel; of a compressed container, as its header says."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate_hz


class _Reader(Protocol):
    """One library's way to read a file."""

    info: AudioInfo

    def blocks(self, samples: int) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class AudioFile:
    """An audio file: of any format that libsndfile reads (WAV, FLAC, OGG, MP3, ...); raw PCM, known
    by its name; or, where the package ``av`` is installed, of any that FFmpeg reads (M4A, ...).

    Args:
        raw_rate_hz: sample rate of raw PCM.

    Raises:
        AudioFileError: it is missing, not audio, or of a rate that no server takes.
    """

    def __init__(self, path: str | Path, *, raw_rate_hz: int = 16_000) -> None:
        path = Path(path)
        try:
            with path.open("rb"):
                pass  # libsndfile calls everything a system error
        except OSError as error:
            raise AudioFileError(f"cannot read {path}: {error.strerror}") from None
        self._reader = _reader(path, raw_rate_hz)
        self.info = self._reader.info
        try:
            check_rate(self.info.sample_rate_hz, str(path))
        except AudioFileError:
            self._reader.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.close()

    def blocks(self, samples: int) -> Iterator[bytes]:
        """int16 LE mono PCM, ``samples`` at a time; 16-bit mono comes through bit for bit.

        Raises:
            AudioFileError: the file is damaged further on.
        """
        return self._reader.blocks(samples)


def check_rate(rate_hz: int, where: str) -> None:
    """Refuse what the server would refuse frame for frame.

    Raises:
        AudioFileError: no server takes audio of this rate; the message names ``where`` it is.
    """
    if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise AudioFileError(
            f"{where} has {rate_hz} samples a second; servers take {MIN_SAMPLE_RATE_HZ} to "
            f"{MAX_SAMPLE_RATE_HZ}: resample it (ffmpeg -i FILE -ar 16000 OUT.wav)"
        )


def _reader(path: Path, raw_rate_hz: int) -> _Reader:
    import soundfile  # not at the top: a client that streams raw PCM can do without

    try:
        return _SoundFile(path, raw_rate_hz)
    except (OSError, soundfile.SoundFileError) as error:
        refused = str(error).removeprefix(f"Error opening '{path}': ").rstrip(".")
    try:
        import av
    except ImportError:
        raise AudioFileError(
            f"cannot read {path}: {refused} (M4A and other compressed audio needs the package av: "
            "pip install av)"
        ) from None
    try:
        return _Container(path)
    except (OSError, av.FFmpegError, IndexError):
        raise AudioFileError(f"cannot read {path}: {refused}") from None


class _SoundFile:
    """By libsndfile."""

    def __init__(self, path: Path, raw_rate_hz: int) -> None:
        import soundfile

        raw: dict[str, Any] = {}
        if path.suffix.lower() in RAW_SUFFIXES:
            raw = {"samplerate": raw_rate_hz, "channels": 1, "format": "RAW", "subtype": "PCM_16"}
        self._file: Any = soundfile.SoundFile(str(path), **raw)
        self.info = AudioInfo(self._file.samplerate, self._file.channels, self._file.frames)

    def blocks(self, samples: int) -> Iterator[bytes]:
        # libsndfile does not scale floating-point samples when it is asked for integers
        is_float = self._file.subtype in ("FLOAT", "DOUBLE", "VORBIS", "OPUS") or (
            "MPEG" in self._file.subtype
        )
        dtype = "float32" if is_float else "int16"
        while len(block := self._file.read(samples, dtype=dtype, always_2d=True)):
            yield mono(block).astype("<i2", copy=False).tobytes()

    def close(self) -> None:
        self._file.close()


class _Container:
    """By FFmpeg's libraries, which come inside the package ``av``."""

    def __init__(self, path: Path) -> None:
        import av

        self._path = path
        self._container: Any = av.open(str(path))
        self._stream: Any = self._container.streams.audio[0]
        duration, unit = self._stream.duration, self._stream.time_base
        samples = int(duration * unit * self._stream.rate) if duration and unit else 0
        self.info = AudioInfo(self._stream.rate, self._stream.channels, samples)

    def blocks(self, samples: int) -> Iterator[bytes]:
        import av

        resampler = av.AudioResampler(format="s16", layout="mono", rate=self.info.sample_rate_hz)
        size = samples * BYTES_PER_SAMPLE
        waiting = b""
        try:
            # at the end None: what the resampler still holds
            for frame in itertools.chain(self._container.decode(self._stream), [None]):
                for part in resampler.resample(frame):
                    waiting += part.to_ndarray().astype("<i2", copy=False).tobytes()
                while len(waiting) >= size:
                    yield waiting[:size]
                    waiting = waiting[size:]
        except av.FFmpegError as error:
            raise AudioFileError(f"cannot read all of {self._path}: {error}") from None
        if waiting:
            yield waiting

    def close(self) -> None:
        self._container.close()


def mono(block: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """int16 samples out of a (samples, channels) block of int16 or float32."""
    if block.dtype == np.int16 and block.shape[1] == 1:
        flat: npt.NDArray[np.int16] = block[:, 0]
        return flat
    mixed = block.mean(axis=1, dtype=np.float64)
    if block.dtype == np.float32:
        mixed = np.clip(mixed * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1)
    rounded: npt.NDArray[np.int16] = np.rint(mixed).astype(np.int16)
    return rounded
