"""The embedded default: PocketSphinx, whose English model ships inside its wheel.

Decodes in worker processes. A worker that dies or hangs is replaced and its request repeated.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from transcriber.engines.base import (
    AudioRequest,
    EngineError,
    FloatAudio,
    Outcome,
    Transcript,
    TranscriptInfo,
)
from transcriber.engines.patience import Patience
from transcriber.pcm import int16_samples

log = logging.getLogger(__name__)

_WORKER: Final = Path(__file__).with_name("pocketsphinx_worker.py")
_START_TIMEOUT_S: Final = 60.0
_ENGLISH: Final = TranscriptInfo("en", 1.0)


class WorkerDiedError(EngineError):
    """A worker process ended or hung in the middle of a request."""


class _Worker:
    """A running worker process; used by one thread at a time."""

    def __init__(self, fast: bool) -> None:
        quality, niceness = ("fast", "10") if fast else ("good", "0")
        self._process = subprocess.Popen(
            # -I: no module of this folder may stand in for one that the worker imports.
            [sys.executable, "-I", str(_WORKER), quality, str(os.getpid()), niceness],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._warm = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_warm(self) -> None:
        if not self._warm:
            self._reply(_START_TIMEOUT_S)
            self._warm = True

    def transcribe(self, audio: FloatAudio, timeout_s: float) -> Transcript:
        self.wait_until_warm()
        samples = int16_samples(audio)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(struct.pack("<I", samples.size) + samples.tobytes())
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerDiedError(f"PocketSphinx worker {self.pid} died: {error}") from error
        reply = self._reply(timeout_s)
        words = [
            {"word": word, "start": start_s, "end": end_s, "probability": probability}
            for word, start_s, end_s, probability in reply.get("words", ())
        ]
        return Transcript(str(reply["text"]), _ENGLISH, {"words": words} if words else {})

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        line = b""
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise WorkerDiedError(
                    f"PocketSphinx worker {self.pid}: no reply in {timeout_s:.1f} s"
                )
            part = os.read(descriptor, 65536)
            if not part:
                raise WorkerDiedError(f"PocketSphinx worker {self.pid} died")
            line += part
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise EngineError(f"PocketSphinx: {reply['error']}")
        return reply

    def kill(self) -> None:
        """From any thread; the one that uses the worker notices."""
        self._process.kill()

    def release(self) -> None:
        """By the thread that used the worker last."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was not written to a dead worker is lost anyway.
                with contextlib.suppress(OSError):
                    pipe.close()


class PocketSphinxEngine:
    """A pool of workers, each with its own decoder (100 MB).

    Args:
        workers: processes; each decodes three to seven times faster than speech is spoken.
        fast: lower quality and priority, for partial results; an engine of its own, so that no
            final waits behind a partial.

    Raises:
        EngineError: no worker could be started.
    """

    name = "pocketsphinx"
    max_batch = 1
    realtime_share = 0.25

    def __init__(self, workers: int, fast: bool = False) -> None:
        self.concurrency = workers
        self._fast = fast
        self._closed = threading.Event()
        self._patience = Patience()
        # Workers die with the *thread* that started them, so it must live as long as they do.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="pocketsphinx-starter")
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        for worker in [self._start_worker() for _ in range(workers)]:
            self._idle.put(worker)

    def wait_until_warm(self) -> None:
        """Wait for the decoders, which load while the caller does something else.

        Raises:
            EngineError: PocketSphinx cannot be started.
        """
        try:
            for worker in tuple(self._workers):
                worker.wait_until_warm()
        except WorkerDiedError as error:
            self.close()
            raise EngineError(
                f"PocketSphinx cannot be started ({error}); its output stands above"
            ) from error

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in tuple(self._workers)]

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Transcribe one request; the language must be English."""
        return [self._transcribe(request) for request in requests]

    def close(self) -> None:
        """End the workers; idempotent."""
        self._closed.set()
        for worker in tuple(self._workers):
            worker.kill()
        for _ in range(self._idle.qsize()):
            # Those in use are released by their users.
            with contextlib.suppress(queue.Empty):
                self._idle.get_nowait().release()
        self._workers.clear()
        self._starter.shutdown()

    def _transcribe(self, request: AudioRequest) -> Outcome:
        failure: Exception = EngineError("the engine is closed")
        # All workers may have died at once, and each is noticed when it is used.
        audio_s = request.audio.size / 16_000
        for attempt in range(self.concurrency + 2):
            worker = self._take_worker()
            if worker is None:
                break
            try:
                worker.wait_until_warm()
                started_s = time.monotonic()
                deadline_s = self._patience.deadline_s(audio_s, attempt)
                transcript = worker.transcribe(request.audio, deadline_s)
                self._patience.ran(audio_s, time.monotonic() - started_s)
            except WorkerDiedError as error:
                if not self._closed.is_set():
                    log.warning("%s; it is replaced and the request repeated", error)
                failure = error
                self._workers.discard(worker)
                worker.release()
                if not self._closed.is_set():
                    worker = self._start_worker()
            except EngineError as error:
                return error
            else:
                return transcript
            finally:
                self._idle.put(worker)
        return failure

    def _take_worker(self) -> _Worker | None:
        """An idle worker; None when the engine is closed."""
        while not self._closed.is_set():
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=0.5)
        return None

    def _start_worker(self) -> _Worker:
        worker = self._starter.submit(_Worker, self._fast).result()
        self._workers.add(worker)
        return worker
