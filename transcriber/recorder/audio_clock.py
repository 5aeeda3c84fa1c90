"""Time as a session's audio tells it: samples consumed, not seconds passed.

RealtimeSTT measures silences with ``time.time()``. Its threads of one session see an
:class:`AudioClock` there instead, so that where sentences begin and end depends on the audio
alone: the same whether it is streamed live, twenty times faster, or replayed after a crash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SAMPLE_RATE_HZ: Final = 16_000

_EPOCH_S: Final = 1 << 20
"""Audio time at sample 0: far enough from 0, which RealtimeSTT reads as "never"."""

_TICKS_PER_S: Final = 1 << 30
_TICKS_PER_SAMPLE: Final = -(-_TICKS_PER_S // SAMPLE_RATE_HZ)
"""Rounded up, 2 millionths long. Times are then multiples of 2**-30 that a float holds exactly,
so differences are exact too, and the length of a silence never depends on where it lies."""

_NEVER: Final = 1 << 62

_thread = threading.local()


class AudioClock:
    """The audio time of one session. Only the thread that consumes its audio advances it."""

    def __init__(self, start_sample: int = 0) -> None:
        self._position = start_sample
        self._moved = threading.Condition()
        self._next_wake = _NEVER
        self._closed = False

    @property
    def position(self) -> int:
        """Samples consumed so far, counted from the start of the session."""
        return self._position

    def time(self) -> float:
        """Audio time in seconds, for differences; see :meth:`to_wall` for a time of day."""
        return _EPOCH_S + self._position * _TICKS_PER_SAMPLE / _TICKS_PER_S

    def advance(self, samples: int) -> None:
        """Consume ``samples`` and wake the threads that sleep until then."""
        self._position += samples
        if self._position < self._next_wake:  # nobody is due: most chunks wake no thread
            return
        with self._moved:
            self._next_wake = _NEVER  # who sleeps on says so again
            self._moved.notify_all()

    def sleep(self, duration_s: float) -> None:
        """Wait until ``duration_s`` more of audio has been consumed, or the clock is closed."""
        if self._closed:
            time.sleep(min(duration_s, 0.02))
            return
        target = self._position + int(duration_s * SAMPLE_RATE_HZ)
        with self._moved:
            while not self._closed:
                self._next_wake = min(self._next_wake, target)
                if self._position >= target:  # looked at after it was announced
                    return
                self._moved.wait()

    def close(self) -> None:
        """Wake all sleepers; from now on :meth:`sleep` is a short real sleep."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()

    @contextmanager
    def bound(self, least_sleep_s: float = 0.0) -> Iterator[None]:
        """Make this the clock of the calling thread.

        Args:
            least_sleep_s: of a thread that polls: none of its sleeps is shorter.
        """
        before = current(), getattr(_thread, "least_sleep_s", 0.0)
        _thread.clock, _thread.least_sleep_s = self, least_sleep_s
        try:
            yield
        finally:
            _thread.clock, _thread.least_sleep_s = before


def current() -> AudioClock | None:
    """The clock that the calling thread is bound to."""
    clock: AudioClock | None = getattr(_thread, "clock", None)
    return clock


class SessionTime:
    """Stands in for the ``time`` module: audio time on a session's threads, else the real one."""

    def time(self) -> float:
        """Seconds: audio time, or the time of day."""
        clock = current()
        return time.time() if clock is None else clock.time()

    def sleep(self, duration_s: float) -> None:
        """Sleep in audio time, or really."""
        clock = current()
        if clock is None:
            time.sleep(duration_s)
        else:
            clock.sleep(max(duration_s, _thread.least_sleep_s))

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)
