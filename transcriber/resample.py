"""Brings a session's audio to 16 kHz, with one stateful resampler for all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from transcriber.engines.base import FloatAudio
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ


class Resampler:
    """int16 mono PCM at any rate in, int16 mono PCM at 16 kHz out.

    The filter remembers what came before, so that frame boundaries leave no trace. It lags: the
    last milliseconds come out with :meth:`flush`.
    """

    def __init__(self) -> None:
        self._rate_hz = SAMPLE_RATE_HZ
        self._stream: Any = None
        self._taken = 0  # samples that went into the present stream, at its rate
        self._given = 0  # samples that came out of it, at 16 kHz

    @property
    def lag_samples(self) -> int:
        """16 kHz samples that are still to come of what was taken in."""
        return round(self._taken * SAMPLE_RATE_HZ / self._rate_hz) - self._given

    def process(self, pcm16: bytes | memoryview, rate_hz: int) -> bytes | memoryview:
        """Resample the next frame; what is at 16 kHz already is returned as it is.

        When the rate differs from that of the frame before, the rest of that one comes first.
        """
        rest = b""
        if rate_hz != self._rate_hz:
            rest = self.flush()
            self._rate_hz = rate_hz
            if rate_hz != SAMPLE_RATE_HZ:
                # In float: soxr dithers what it rounds to int16, at random.
                self._stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        if self._stream is None:
            return rest + bytes(pcm16) if rest else pcm16
        samples = np.frombuffer(pcm16, dtype="<i2").astype(np.float32)
        resampled = _int16(self._stream.resample_chunk(samples))
        self._taken += len(samples)
        self._given += len(resampled) // 2
        return rest + resampled

    def flush(self) -> bytes:
        """What the filter still holds; the next frame starts anew."""
        if self._stream is None:
            return b""
        rest = _int16(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        self._stream = None
        self._rate_hz = SAMPLE_RATE_HZ
        self._taken = self._given = 0
        return rest


def _int16(samples: FloatAudio) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
