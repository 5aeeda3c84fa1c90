"""How every stage lives: start, ready, drain, stop, always the same way.

The first SIGTERM or SIGINT asks a stage to drain: finish what it accepted, then exit 0. A second
one ends it at once. Handlers only set a flag; the stage's own loop does the work.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

from common.errors import SettingsError

log = logging.getLogger(__name__)

TURN_S: Final = 0.5
"""How often an asyncio loop shows that it turns."""


class State(enum.StrEnum):
    """Where in its life a stage is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Lifecycle:
    """One process's state, its drain request, and what to do when that comes."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.state = State.STARTING
        self._turned_s: float | None = None
        self._on_drain: list[Callable[[], None]] = []

    @property
    def draining(self) -> bool:
        """Whether a stop was asked for."""
        return self.state in (State.DRAINING, State.STOPPED)

    def turn(self) -> None:
        """Say that the stage's loop turns; it does from its first turn to its end."""
        self._turned_s = time.monotonic()

    def still_s(self, now_s: float) -> float:
        """Seconds since the loop turned; 0 before it began to."""
        return 0.0 if self._turned_s is None else now_s - self._turned_s

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called, from the signal handler's context, when a stop is asked for.

        At once, if that was already: a stop may come while a stage is still warming up.
        """
        self._on_drain.append(callback)
        if self.draining:
            callback()

    def ready(self) -> None:
        """Declare that models are warm and links open."""
        if self.state is State.STARTING:
            self.state = State.READY
            log.info("%s is ready (pid %d)", self.stage, os.getpid())

    def request_drain(self) -> None:
        """Ask for a stop; a second request ends the process at once."""
        if self.draining:
            self.stop_now()
        self.state = State.DRAINING
        for callback in self._on_drain:
            callback()

    def stop_now(self) -> NoReturn:
        """Leave without finishing anything."""
        sys.stderr.flush()
        os._exit(128 + signal.SIGTERM)

    def handle_signals(self) -> None:
        """Install handlers for a process without an event loop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.request_drain())

    def handle_signals_in_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Install handlers that run inside an asyncio loop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_drain)


def run_async(stage: str, main: Callable[[Lifecycle], Coroutine[Any, Any, None]]) -> int:
    """Run an asyncio stage to its end on uvloop; the exit status of the process."""
    import uvloop

    lifecycle = Lifecycle(stage)

    async def whole_life() -> None:
        lifecycle.handle_signals_in_loop(asyncio.get_running_loop())
        turning = asyncio.create_task(_turn(lifecycle))
        try:
            await main(lifecycle)
        finally:
            turning.cancel()

    try:
        uvloop.run(whole_life())
    except SettingsError as error:
        log.error("%s cannot start: %s", stage, error)
        return 2
    lifecycle.state = State.STOPPED
    log.info("%s stopped", stage)
    return 0


async def _turn(lifecycle: Lifecycle) -> None:
    while True:
        lifecycle.turn()
        await asyncio.sleep(TURN_S)
