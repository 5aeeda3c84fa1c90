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
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from transcriber.engines.pocketsphinx_nursery import Born, Nursery, WorkerDiedError
from transcriber.pcm import int16_samples

log = logging.getLogger(__name__)

_ENGLISH: Final = TranscriptInfo("en", 1.0)


class _Worker:
    """A running worker process; used by one thread at a time."""

    def __init__(self, born: Born) -> None:
        self.pid = born.pid
        self.kill = born.kill
        self.release = born.release
        self._born = born

    def transcribe(self, audio: FloatAudio, timeout_s: float) -> Transcript:
        samples = int16_samples(audio)
        try:
            _write(self._born.requests, struct.pack("<I", samples.size) + samples.tobytes())
        except OSError as error:
            raise WorkerDiedError(f"PocketSphinx worker {self.pid} died: {error}") from error
        reply = self._reply(timeout_s)
        words = [
            {"word": word, "start": start_s, "end": end_s, "probability": probability}
            for word, start_s, end_s, probability in reply.get("words", ())
        ]
        return Transcript(str(reply["text"]), _ENGLISH, {"words": words} if words else {})

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        descriptor = self._born.replies
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


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


class PocketSphinxEngine:
    """A pool of workers, each with its own decoder, forked from one process (100 MB).

    Args:
        workers: processes; each decodes three to seven times faster than speech is spoken.
        fast: lower quality and priority, for partial results; an engine of its own, so that no
            final waits behind a partial.

    """

    name = "pocketsphinx"
    max_batch = 1
    realtime_share = 0.25

    def __init__(self, workers: int, fast: bool = False) -> None:
        self.concurrency = workers
        self._closed = threading.Event()
        self._patience = Patience()
        # Workers die with the *thread* that started them, so it must live as long as they do.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="pocketsphinx-starter")
        self._nursery = self._starter.submit(Nursery, fast).result()
        # None: a worker that is yet to be made.
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        for _ in range(workers):
            self._idle.put(None)

    def wait_until_warm(self) -> None:
        """Wait for the decoders, which load while the caller does something else.

        Raises:
            EngineError: PocketSphinx cannot be started.
        """
        try:
            for _ in range(self._idle.qsize()):
                self._idle.put(self._idle.get(timeout=0) or self._start_worker())
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
        if self._closed.is_set():
            return
        self._closed.set()
        for worker in tuple(self._workers):
            worker.kill()
        for _ in range(self._idle.qsize()):
            # Those in use are released by their users.
            with contextlib.suppress(queue.Empty):
                if (idle := self._idle.get_nowait()) is not None:
                    idle.release()
        self._workers.clear()
        self._nursery.kill()
        self._starter.submit(self._nursery.close)
        self._starter.shutdown()

    def _transcribe(self, request: AudioRequest) -> Outcome:
        failure: Exception = EngineError("the engine is closed")
        # All workers may have died at once, and each is noticed when it is used.
        audio_s = request.audio.size / 16_000
        for attempt in range(self.concurrency + 2):
            try:
                worker = self._take_worker()
            except EngineError:
                break
            try:
                worker = worker or self._start_worker()
                started_s = time.monotonic()
                deadline_s = self._patience.deadline_s(audio_s, attempt)
                transcript = worker.transcribe(request.audio, deadline_s)
                self._patience.ran(audio_s, time.monotonic() - started_s)
            except WorkerDiedError as error:
                if not self._closed.is_set():
                    log.warning("%s; it is replaced and the request repeated", error)
                failure = error
                if worker is not None:
                    self._workers.discard(worker)
                    worker.release()
                    worker = None
            except EngineError as error:
                return error
            else:
                return transcript
            finally:
                if worker is not None and self._closed.is_set():
                    worker.release()
                    worker = None
                self._idle.put(worker)
        return failure

    def _take_worker(self) -> _Worker | None:
        """An idle worker; None: one that is yet to be made.

        Raises:
            EngineError: the engine is closed.
        """
        while not self._closed.is_set():
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=0.5)
        raise EngineError("the engine is closed")

    def _start_worker(self) -> _Worker:
        """A new worker.

        Raises:
            EngineError: the engine is closed, or there can be none.
        """
        try:
            worker = self._starter.submit(self._new_worker).result()
        except RuntimeError:
            raise EngineError("the engine is closed") from None
        self._workers.add(worker)
        return worker

    def _new_worker(self) -> _Worker:
        if self._closed.is_set():
            raise EngineError("the engine is closed")
        return _Worker(self._nursery.worker())
