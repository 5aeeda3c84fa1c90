"""Makes and closes recorders, which takes a while each, beside the event loop and within bounds.

A recorder that is being closed still has its threads and memory, so it counts: while too many are
on their way out, nobody comes in. Where one cannot be made (no memory, no thread to be had), no
other is tried for a while, and the transcriber says that it is full.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, Protocol, TypeVar

from common.errors import SttError
from common.logs import LogBudget

log = logging.getLogger(__name__)

PAUSE_S: Final = 2.0
"""After a recorder could not be made, the next is tried this much later."""
SPARE_SHARE: Final = 4
"""A transcriber may be closing a quarter as many recorders as it carries."""
LEAST_SPARE: Final = 4


class Closable(Protocol):
    """What is made."""

    def close(self) -> None:
        """Let go of threads and memory; takes a while."""
        ...


R = TypeVar("R", bound=Closable)


class NoRecorderError(SttError):
    """A recorder cannot be had now; the message says why."""


class RecorderMaker(Generic[R]):
    """One thread that makes and closes recorders in turn.

    Args:
        capacity: recorders that the transcriber carries at most.
        on_failed: called for each that could not be made, to count it.
        on_closing: called with the number that are being closed.
    """

    def __init__(
        self,
        capacity: int,
        on_failed: Callable[[], None],
        on_closing: Callable[[int], None],
    ) -> None:
        self._spare = max(LEAST_SPARE, capacity // SPARE_SHARE)
        self._on_failed = on_failed
        self._on_closing = on_closing
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder-maker")
        self._closing = 0
        self._paused_until_s = 0.0
        self._fault = ""
        self._lines = LogBudget(1, 1 / 30)

    def obstacle(self) -> str:
        """Why no recorder can be made now; "" when one can be tried."""
        if self._closing >= self._spare:
            return f"full: {self._closing} recorders are being closed"
        return self._fault if time.monotonic() < self._paused_until_s else ""

    async def make(self, build: Callable[[], R], is_wanted: Callable[[], bool]) -> R | None:
        """A recorder made by ``build``; None when it is no longer wanted once its turn has come.

        Raises:
            NoRecorderError: it could not be made.
        """

        def build_if_wanted() -> R | None:
            return build() if is_wanted() else None

        try:
            return await self._loop.run_in_executor(self._thread, build_if_wanted)
        except Exception as error:  # RealtimeSTT and the system may raise anything
            self._fault = f"no recorder: {str(error) or type(error).__name__}"
            self._paused_until_s = time.monotonic() + PAUSE_S
            self._on_failed()
            if self._lines.allow(time.monotonic()):
                log.error("a recorder cannot be made, new sessions wait: %r", error)
                log.debug("it failed here", exc_info=error)
            raise NoRecorderError(self._fault) from error

    def close(self, recorder: R) -> None:
        """Close a recorder when its turn comes."""
        self._closing += 1
        self._on_closing(self._closing)
        done = self._loop.run_in_executor(self._thread, _close, recorder)
        done.add_done_callback(lambda _: self._closed())

    def shut_down(self) -> None:
        """Close what is to be closed and end the thread."""
        self._thread.shutdown(wait=True)

    def _closed(self) -> None:
        self._closing -= 1
        self._on_closing(self._closing)


def _close(recorder: Closable) -> None:
    try:
        recorder.close()
    except Exception:
        log.exception("a recorder could not be closed")
