"""Stands in for PyAudio: one input device that plays a recording when it is given a cue.

On ``PYTHONPATH`` of a process it is what ``import pyaudio`` finds, so that RealtimeSTT's clients
run unmodified, on a machine without PortAudio. It hears silence, at the pace of a real device.
Whenever the file named by ``FAKE_MICROPHONE_CUE`` appears, it is taken away, and the 16-bit mono
WAV file whose path is in it is heard, then silence again. ``FAKE_MICROPHONE_RATE`` is the rate
of the device, in Hz [16000].
"""

from __future__ import annotations

import os
import time
import wave
from pathlib import Path
from typing import Any, Final

paInt16: Final = 8  # noqa: N816 - PyAudio's name
_BYTES_PER_SAMPLE: Final = 2


def get_sample_size(audio_format: int) -> int:
    """Bytes per sample of the one format that there is."""
    if audio_format != paInt16:
        raise ValueError(f"invalid format: {audio_format}")
    return _BYTES_PER_SAMPLE


class Stream:
    """An open input stream: reads block until the device has heard as much."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._cue = Path(os.environ.get("FAKE_MICROPHONE_CUE", "/nonexistent"))
        self._playing = memoryview(b"")
        self._due_s = time.monotonic()
        self._open = True

    @property
    def remaining(self) -> int:
        """Samples of the recording that are still to be heard."""
        return len(self._playing) // _BYTES_PER_SAMPLE

    def read(self, samples: int, exception_on_overflow: bool = True) -> bytes:
        """The next ``samples`` of int16 PCM, in real time.

        Raises:
            OSError: the stream was closed.
        """
        if not self._open:
            raise OSError(-9988, "Stream closed")
        # Like a device whose buffer overflows, it does not make up for time that nobody read in.
        self._due_s = max(self._due_s, time.monotonic() - 1.0) + samples / self._rate_hz
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        if self._cue.exists():
            self._playing = memoryview(self._take_cue())
        size = samples * _BYTES_PER_SAMPLE
        heard = bytes(self._playing[:size])
        self._playing = self._playing[size:]
        return heard.ljust(size, b"\0")

    def _take_cue(self) -> bytes:
        path = self._cue.read_text()
        self._cue.unlink()
        with wave.open(path) as audio:
            shape = (audio.getnchannels(), audio.getsampwidth(), audio.getframerate())
            if shape != (1, _BYTES_PER_SAMPLE, self._rate_hz):
                raise ValueError(f"{path} is not 16-bit mono at {self._rate_hz} Hz")
            pcm: bytes = audio.readframes(audio.getnframes())
            return pcm

    def stop_stream(self) -> None:
        """Stop; it can only be closed then."""
        self._open = False

    def close(self) -> None:
        """Close."""
        self._open = False


class PyAudio:
    """The one device's library handle."""

    def __init__(self) -> None:
        self._rate_hz = int(os.environ.get("FAKE_MICROPHONE_RATE", "16000"))

    def get_device_count(self) -> int:
        """Number of devices."""
        return 1

    def get_default_input_device_info(self) -> dict[str, Any]:
        """Facts about the device."""
        return self.get_device_info_by_index(0)

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        """Facts about a device.

        Raises:
            OSError: there is only one.
        """
        if index != 0:
            raise OSError(-9996, "Invalid input device (no default output device)")
        return {
            "index": 0,
            "name": "fake microphone",
            "maxInputChannels": 1,
            "defaultSampleRate": float(self._rate_hz),
        }

    def is_format_supported(self, rate: float, **options: Any) -> bool:
        """Whether the device records at a rate; it has only one.

        Raises:
            ValueError: it does not, as PyAudio says it.
        """
        if rate != self._rate_hz:
            raise ValueError("Invalid sample rate", -9997)
        return True

    def open(self, *, rate: int, **options: Any) -> Stream:
        """Open the device for input."""
        return Stream(rate)

    def terminate(self) -> None:
        """Nothing to give back."""
