"""The queue between whoever has a session's audio and the recorder's thread that consumes it.

RealtimeSTT's recording thread polls ``recorder.audio_queue`` every 10 ms. A :class:`ChunkFeed`
in its place blocks until there is something to do, and lets commands travel in order with the
audio, so that everything that changes a recorder happens on its own thread.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ

log = logging.getLogger(__name__)

CHUNK_SAMPLES: Final = 512
CHUNK_BYTES: Final = 2 * CHUNK_SAMPLES
"""What Silero wants to see at once, int16."""

Command = Callable[[], None]


class ChunkFeed:
    """A FIFO of audio chunks and commands, one consumer, any number of producers.

    It bounds nothing itself: producers watch :meth:`qsize` (see ``Recorder.ask_for_room``).

    Args:
        before_chunk: called on the consumer's thread before each chunk, with its samples.
    """

    def __init__(self, before_chunk: Callable[[int], None]) -> None:
        self._before_chunk = before_chunk
        self._items: deque[bytes | Command] = deque()
        self._chunks = 0
        self._remainder = b""
        self._changed = threading.Condition()
        self._closed = False
        self._tail: Callable[[], bytes | None] | None = None

    def put_audio(self, pcm: bytes | memoryview) -> None:
        """Append int16 PCM of any length; the part that fills no chunk waits for more."""
        data = self._remainder + bytes(pcm) if self._remainder else bytes(pcm)
        whole = len(data) - len(data) % CHUNK_BYTES
        self._remainder = data[whole:]
        if whole:
            chunks = [data[i : i + CHUNK_BYTES] for i in range(0, whole, CHUNK_BYTES)]
            with self._changed:
                self._items.extend(chunks)
                self._chunks += len(chunks)
                self._changed.notify()

    def take_remainder(self) -> bytes:
        """What fills no chunk; it is the caller's now."""
        remainder, self._remainder = self._remainder, b""
        return remainder

    def flush(self) -> None:
        """Append what fills no chunk, padded with silence."""
        if self._remainder:
            self.put_audio(bytes(CHUNK_BYTES - len(self._remainder)))

    def post(self, command: Command) -> None:
        """Run ``command`` on the consumer's thread, after all audio before it."""
        with self._changed:
            self._items.append(command)
            self._changed.notify()

    def follow_with(self, tail: Callable[[], bytes | None]) -> None:
        """When all is consumed, take chunks from ``tail`` until it returns None."""
        with self._changed:
            self._tail = tail
            self._changed.notify()

    def discard(self, skip: Callable[[int], None]) -> None:
        """Drop the audio that waits; ``skip`` runs in its place, with the samples dropped."""
        with self._changed:
            kept = [item for item in self._items if not isinstance(item, bytes)]
            dropped = self._chunks * CHUNK_SAMPLES
            self._items = deque(kept)
            self._chunks = 0
            self._items.appendleft(lambda: skip(dropped))
            self._changed.notify()

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait."""
        return self._chunks * CHUNK_SAMPLES / SAMPLE_RATE_HZ

    def qsize(self) -> int:
        """Chunks that wait."""
        return self._chunks

    def get(self, timeout: float | None = None) -> bytes:
        """The next chunk; runs the commands before it. Blocks, whatever ``timeout`` says.

        Raises:
            queue.Empty: the feed is closed.
        """
        while True:
            item = self._next()
            if isinstance(item, bytes):
                self._before_chunk(len(item) // 2)
                return item
            try:
                item()
            except Exception:
                # A failing command must not take the recorder's thread down with it.
                log.exception("a recorder command failed")

    get_nowait = get

    def close(self) -> None:
        """Let the consumer go; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._chunks = 0
            self._tail = None
            self._changed.notify_all()

    def _next(self) -> bytes | Command:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._items or self._tail)
                if self._closed:
                    raise queue.Empty
                if self._items:
                    item = self._items.popleft()
                    if isinstance(item, bytes):
                        self._chunks -= 1
                    return item
                tail = self._tail
            # Outside of the lock: it looks at the recorder, which may post commands.
            chunk = tail() if tail is not None else None
            if chunk is not None:
                return chunk
            with self._changed:
                self._tail = None
