"""What a session's threads find in place of names that RealtimeSTT imports or defines.

RealtimeSTT is written for one recorder per process. Served from one process, many recorders need
voice detection on their own thread instead of a new one per chunk, locks of ``threading`` instead
of ``multiprocessing`` (a semaphore file and a tracker process otherwise), no log handler per
recorder, no garbage collection at each end, and nothing printed. Each of these acts as what it
stands for on any thread that belongs to no session.
"""

from __future__ import annotations

import builtins
import copy
import functools
import gc
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from transcriber.recorder.audio_clock import current
from transcriber.recorder.feed import ChunkFeed


class InlineThread:
    """A thread that runs its target within :meth:`start`."""

    def __init__(self, target: Callable[..., Any], args: tuple[Any, ...] = ()) -> None:
        self._target = target
        self._args = args

    def start(self) -> None:
        self._target(*self._args)


class DetectorThreading:
    """``threading``, but the voice check of a session's chunk ends before the next begins."""

    def __getattr__(self, name: str) -> Any:
        if name == "Thread" and current() is not None:
            return InlineThread
        return getattr(threading, name)


class _Value:
    """``multiprocessing.Value`` within one process."""

    def __init__(self, _type: object, value: object) -> None:
        self.value = value


class RecorderMultiprocessing:
    """``torch.multiprocessing``, but what stays in one process is of ``threading``."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        if current() is not None:
            within_process: dict[str, Any] = {
                "Event": threading.Event,
                "Value": _Value,
                "Queue": queue.Queue,
                # Or each recorder would set the start method of the whole process.
                "get_start_method": lambda allow_none=False: "spawn",
            }
            if name in within_process:
                return within_process[name]
        return getattr(self._real, name)


class Collector:
    """``gc``, but closing a session among many does not stop them all for a full collection."""

    def __getattr__(self, name: str) -> Any:
        if name == "collect" and current() is not None:
            return lambda: 0
        return getattr(gc, name)


def print_nothing(*args: Any, **kwargs: Any) -> None:
    """``print``, but not for a session."""
    if current() is None:
        builtins.print(*args, **kwargs)


PARTIAL_LOOK_S: Final = 0.1
"""How often, in audio time, a session's partial results are looked after: RealtimeSTT's thread
polls every millisecond while somebody speaks and every 20 otherwise, which here is every chunk, and
asks for a partial result each time. Nobody reads more than some ten revisions a second."""


def with_clock(
    run: Callable[[Any], None], *, recover: bool = False, least_sleep_s: float = 0.0
) -> Callable[[Any], None]:
    """Run a recorder's thread on its session's clock, and again after an error if it recovers."""

    @functools.wraps(run)
    def bound(recorder: Any) -> None:
        clock = getattr(recorder, "clock", None)
        if clock is None:
            run(recorder)
            return
        with clock.bound(least_sleep_s):
            while True:
                try:
                    run(recorder)
                    return
                except Exception:
                    if not recover:
                        raise
                    # Or the session would be deaf from here on, without a sign.
                    recorder.recover()

    return bound


def shared_silero(original: Callable[..., Any]) -> Callable[..., Any]:
    """Load the voice detector's network once; a session adds its own state (15 ms, 4 MB less)."""
    loaded: dict[str, Any] = {}
    lock = threading.Lock()

    @functools.wraps(original)
    def create(**options: Any) -> Any:
        if current() is None:
            return original(**options)
        key = repr({name: value for name, value in options.items() if name != "logger"})
        with lock:
            if key not in loaded:
                loaded[key] = original(**options)
        first = loaded[key]
        if not hasattr(first, "session"):  # not ONNX: it cannot be shared
            return original(**options)
        detector = copy.copy(first)
        detector.input_buffer = np.zeros_like(first.input_buffer)
        detector.state = {name: np.zeros_like(value) for name, value in first.state.items()}
        return detector

    return create


def no_logger_per_recorder(original: Callable[..., None]) -> Callable[..., None]:
    """The process has its handlers; a recorder adds none."""

    @functools.wraps(original)
    def configure(*args: Any, **kwargs: Any) -> None:
        if current() is None:
            original(*args, **kwargs)

    return configure


def submit_early_for_its_recording(original: Callable[..., None]) -> Callable[..., None]:
    """Early transcriptions belong to their recording; RealtimeSTT takes the last one it gets."""

    @functools.wraps(original)
    def submit(recorder: Any, audio: Any, language: Any, use_prompt: Any, options: Any) -> None:
        if hasattr(recorder, "submit_early"):
            recorder.submit_early(audio, language, use_prompt, options)
        else:
            original(recorder, audio, language, use_prompt, options)

    return submit


def started_on_its_feed(start_threads: Callable[[Any], None]) -> Callable[[Any], None]:
    """Give a session's recorder its feed for a queue before the threads that read it start."""

    @functools.wraps(start_threads)
    def start(recorder: Any) -> None:
        feed = getattr(recorder, "feed", None)
        if isinstance(feed, ChunkFeed):
            recorder.audio_queue = feed
        start_threads(recorder)

    return start
