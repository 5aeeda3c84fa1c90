"""Brings a session's audio to 16 kHz, so that frame boundaries and replays leave no trace."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

import numpy as np
import soxr

from transcriber.engines.base import FloatAudio
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ

HISTORY_S: Final = 0.1
"""What a filter has to have heard before its output is that of one that heard everything."""


def history_samples(rate_hz: int) -> int:
    """:data:`HISTORY_S` at a rate, and a whole number of samples at 16 kHz as well."""
    period = rate_hz // math.gcd(rate_hz, SAMPLE_RATE_HZ)
    return period * math.ceil(HISTORY_S * rate_hz / period)


def needed_from(sample: int, rate_hz: int) -> int:
    """Where a replay of a run must start that is to yield its 16 kHz audio from ``sample`` on.

    Returns:
        Samples at ``rate_hz`` from the start of the run.
    """
    return max(0, sample // SAMPLE_RATE_HZ * rate_hz - history_samples(rate_hz))


class _Second:
    """The filter of one second of a run: started a little before, to be the same in any replay."""

    def __init__(self, number: int, rate_hz: int) -> None:
        history = 0 if number == 0 else history_samples(rate_hz)
        self.starts_at = number * rate_hz - history
        # In float: soxr dithers what it rounds to int16, at random.
        self._stream: Any = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        self._to_skip = history * SAMPLE_RATE_HZ // rate_hz
        self._to_come = SAMPLE_RATE_HZ
        self._ready: list[FloatAudio] = []

    @property
    def is_done(self) -> bool:
        """Whether all of the second is out of the filter."""
        return not self._to_come

    def feed(self, samples: FloatAudio, *, last: bool = False) -> None:
        out = self._stream.resample_chunk(samples, last=last)
        skipped = min(self._to_skip, len(out))
        self._to_skip -= skipped
        out = out[skipped : skipped + self._to_come]
        self._to_come -= len(out)
        self._ready.append(out)

    def take(self) -> list[FloatAudio]:
        ready, self._ready = self._ready, []
        return ready


class Resampler:
    """int16 mono PCM at any rate in, int16 mono PCM at 16 kHz out.

    A *run* is what comes at one rate. Every second of a run a fresh filter takes over, which was
    started a little before: what a second sounds like then depends on its own samples and on those
    a little before and after, and a replay that begins early enough (:func:`needed_from`) yields
    the same bytes. A filter lags: the last milliseconds come out with :meth:`flush`.

    Args:
        run_samples: how much of a run, at its rate, came before the first frame of this one. What
            cannot be known of its beginning is zeros, to be skipped.
    """

    def __init__(self, run_samples: int = 0) -> None:
        self._rate_hz = SAMPLE_RATE_HZ
        self._seconds: deque[_Second] = deque()
        self._next_second = 0
        self._resumes_at = run_samples
        self._taken = 0  # samples of the run that came in, at its rate
        self._given = 0  # samples of the run that came out, at 16 kHz

    @property
    def rate_hz(self) -> int:
        """Of the present run."""
        return self._rate_hz

    @property
    def run_samples(self) -> int:
        """How much of the present run came in, at its rate; 0 at 16 kHz."""
        return self._taken

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
            rest += self._begin(rate_hz)
        if rate_hz == SAMPLE_RATE_HZ:
            self._resumes_at = 0
            return rest + bytes(pcm16) if rest else pcm16
        samples = np.frombuffer(pcm16, dtype="<i2").astype(np.float32)
        return rest + self._resample(samples)

    def flush(self) -> bytes:
        """What the filter still holds; the next frame starts anew."""
        for second in self._seconds:
            second.feed(np.zeros(0, dtype=np.float32), last=True)
        rest = b"".join(_int16(part) for second in self._seconds for part in second.take())
        self._seconds.clear()
        self._rate_hz = SAMPLE_RATE_HZ
        self._taken = self._given = 0
        return rest

    def _begin(self, rate_hz: int) -> bytes:
        """Start a run, or go on with one; zeros for what of it is not known."""
        self._rate_hz = rate_hz
        self._taken, self._resumes_at = self._resumes_at, 0
        self._given = round(self._taken * SAMPLE_RATE_HZ / rate_hz)
        known_from = self._taken + history_samples(rate_hz) if self._taken else 0
        self._next_second = math.ceil(known_from / rate_hz)
        unknown = self._next_second * SAMPLE_RATE_HZ - self._given
        self._given += unknown
        return bytes(2 * unknown)

    def _resample(self, samples: FloatAudio) -> bytes:
        begin, end = self._taken, self._taken + len(samples)
        self._taken = end
        history = history_samples(self._rate_hz)
        while self._next_second * self._rate_hz - history < end:
            self._seconds.append(_Second(self._next_second, self._rate_hz))
            self._next_second += 1
        for second in self._seconds:
            second.feed(samples[max(0, second.starts_at - begin) :])
        out = b""
        while self._seconds:
            out += b"".join(map(_int16, self._seconds[0].take()))
            if not self._seconds[0].is_done:
                break
            self._seconds.popleft()
        self._given += len(out) // 2
        return out


def _int16(samples: FloatAudio) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
