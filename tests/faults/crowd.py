"""Clients that stream at the same time, and what came back to each of them."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from common.client import ClientEvent, flip_bit
from common.client.stream import Stream, connect
from common.events import (
    Acknowledged,
    Error,
    FrameVerdict,
    FullSentence,
    Healed,
    Realtime,
    Report,
    TranscriberChanged,
    TranscriptionStart,
)
from tests.faults.clips import RATE_HZ

CHUNK_SAMPLES: Final = 1024
CHUNK_BYTES: Final = 2 * CHUNK_SAMPLES
PATIENCE_S: Final = 240.0
"""A stream of which nothing is heard for this long has failed."""
POLL_S: Final = 0.02


@dataclasses.dataclass(slots=True, eq=False)
class Talker:
    """One client: what it says and what it hears.

    Attributes:
        said: bytes of ``pcm`` that were sent so far.
        sent: the same in frames.
        received: frames that a recorder has, as far as the server said.
        committed: frames that no replay needs, likewise.
        moves: how often its session came to a recorder.
        healed: what was said of frames that were asked for again.
        events: all other events, in order.
        done: everything was transcribed, and the server said so.
    """

    pcm: bytes
    sentences: list[str] = dataclasses.field(default_factory=list)
    errors: list[Error] = dataclasses.field(default_factory=list)
    events: list[ClientEvent] = dataclasses.field(default_factory=list)
    healed: list[Healed] = dataclasses.field(default_factory=list)
    said: int = 0
    sent: int = 0
    received: int = 0
    committed: int = 0
    moves: int = 0
    report: Report | None = None
    done: bool = False
    chunk_samples: int = CHUNK_SAMPLES
    _stream: Stream | None = None

    @property
    def chunk_bytes(self) -> int:
        """Bytes of samples in a frame."""
        return 2 * self.chunk_samples

    @property
    def stream(self) -> Stream:
        """Its stream, once there is one."""
        assert self._stream is not None
        return self._stream

    @property
    def session(self) -> str:
        """Id of its session."""
        return self.stream.session or ""

    def connect(self, url: str, **options: Any) -> Stream:
        """A stream to use with ``async with``; :meth:`say` and :meth:`finish` use it."""
        self._stream = connect(
            url, on_event=self._hear, chunk_samples=self.chunk_samples, **options
        )
        return self._stream

    async def say(self, until_byte: int | None = None, pace: float | None = None) -> None:
        """Send what was not said yet.

        Args:
            until_byte: where in ``pcm`` to stop; rounded up to whole frames.
            pace: times real time; None: as fast as the server takes it.

        Raises:
            StreamError: the stream ended badly.
        """
        end = len(self.pcm) if until_byte is None else min(until_byte, len(self.pcm))
        started_s, first = time.monotonic(), self.said
        while self.said < end:
            frame = self.pcm[self.said : self.said + self.chunk_bytes]
            if pace is not None:
                due_s = started_s + (self.said + len(frame) - first) / 2 / RATE_HZ / pace
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await self.stream.send(frame)
            self.said += len(frame)
            self.sent = self.stream.frames

    async def say_corrupt(self) -> None:
        """Send the next frame with a flipped bit."""
        await self.stream.send(self.pcm[self.said : self.said + self.chunk_bytes], corrupt=flip_bit)
        self.said += self.chunk_bytes
        self.sent = self.stream.frames

    async def finish(self) -> None:
        """Say that this was all, and wait for the rest of the results.

        Raises:
            StreamError: the stream ended badly.
        """
        self.report = await self.stream.finish(idle_timeout_s=PATIENCE_S)
        self.done = True

    async def talk(self, url: str, pace: float | None = None) -> None:
        """Stream everything and wait for the end.

        Raises:
            StreamError: the stream ended badly.
        """
        async with self.connect(url):
            await self.say(pace=pace)
            await self.finish()

    @property
    def notices(self) -> list[str]:
        """Types of the other events."""
        return [event.type for event in self.events]

    @property
    def frames(self) -> int:
        """Frames that all it has to say makes."""
        return -(-len(self.pcm) // self.chunk_bytes)

    @property
    def all_received(self) -> bool:
        """Whether a recorder has all that was sent."""
        return self.received == self.sent

    @property
    def state(self) -> str:
        """How far it got, for the message of a failure."""
        counts = self._stream.verdicts if self._stream is not None else None
        return (
            f"{self.sent} of {self.frames} frames sent, {self.received} with a recorder, {counts}, "
            f"{self.moves} recorders, {self.sentences}, {'done' if self.done else 'not done'}"
        )

    def _hear(self, event: ClientEvent) -> None:
        match event:
            case FullSentence():
                self.sentences.append(event.text)
            case Acknowledged():
                self.received = max(self.received, event.received)
                self.committed = max(self.committed, event.committed)
            case TranscriberChanged(state="open"):
                self.moves += 1
            case Error():
                self.errors.append(event)
            case Healed():
                self.healed.append(event)
            case FrameVerdict() | Realtime() | TranscriptionStart():
                pass  # many, or large
            case _:
                self.events.append(event)


async def talk_all(url: str, talkers: Sequence[Talker], pace: float | None = None) -> None:
    """Let all talk at once; the first that fails ends it."""
    async with asyncio.TaskGroup() as group:
        for talker in talkers:
            group.create_task(talker.talk(url, pace))


async def until(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition, while the loop goes on.

    Raises:
        AssertionError: ``what`` did not happen in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"after {timeout_s:g} s still not so: {what}"
        await asyncio.sleep(POLL_S)
