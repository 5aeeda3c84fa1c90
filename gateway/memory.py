"""Gives memory back to the system after a burst; else the allocator would keep it for ever.

glibc returns what is free at the end of a heap only, and a burst of frames leaves free pages
between what lives on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from typing import Final

LEAST_BYTES: Final = 16 << 20
"""What must have become free since the most that was held, to be worth a look at every page."""
CONNECTION_BYTES: Final = 64 * 1024
"""About what a connection and its session take, beside their frames."""
QUIET_S: Final = 5.0
"""For so long no more was held: the burst is over."""


YOUNG_OBJECTS: Final = 20_000
"""Made before the garbage collector looks at them: frames of many sessions are gone by then."""


def calm_collector() -> None:
    """Once all is imported: let the garbage collector look at what lives long less often.

    Next to nothing here is garbage that only it can find, and a thousand sessions are many objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


class Ebb:
    """Tells when much less is held than was at the peak. Holds no clock.

    Args:
        least_bytes: how much less; and at most half is still held.
        quiet_s: for how long.
    """

    def __init__(self, least_bytes: int = LEAST_BYTES, quiet_s: float = QUIET_S) -> None:
        self._least_bytes = least_bytes
        self._quiet_s = quiet_s
        self._peak_bytes = 0
        self._since_s: float | None = None

    def look(self, held_bytes: int, now_s: float) -> bool:
        """Every now and then, with what is held now; whether memory should be given back, once."""
        self._peak_bytes = max(self._peak_bytes, held_bytes)
        freed_bytes = self._peak_bytes - held_bytes
        if freed_bytes < self._least_bytes or held_bytes > self._peak_bytes // 2:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s >= self._quiet_s:
            self._peak_bytes, self._since_s = held_bytes, None
            return True
        return False


class MemoryKeeper:
    """Has the allocator give memory back, on a thread, for it looks at all of its pages."""

    def __init__(self) -> None:
        self._ebb = Ebb()
        self._trim = _trim_of_libc()
        self._running: asyncio.Future[int] | None = None

    def look(self, held_bytes: int, now_s: float) -> None:
        """Every now and then, with the bytes of all frames that are held."""
        due = self._ebb.look(held_bytes, now_s)
        if due and self._trim is not None and (self._running is None or self._running.done()):
            loop = asyncio.get_running_loop()
            self._running = loop.run_in_executor(None, self._trim, 0)


def _trim_of_libc() -> ctypes._NamedFuncPointer | None:
    """``malloc_trim``, which only glibc has; with ctypes it runs without the interpreter's lock."""
    with contextlib.suppress(AttributeError, OSError):
        return ctypes.CDLL(None).malloc_trim
    return None
