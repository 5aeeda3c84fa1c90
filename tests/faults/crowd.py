"""Clients that stream at the same time, and what came back to each of them."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from typing import Final

from common.client import ClientEvent, Stream, connect
from common.events import Acknowledged, FullSentence, Report, TranscriberChanged
from tests.faults.clips import RATE_HZ

CHUNK_SAMPLES: Final = 1024
PATIENCE_S: Final = 90.0
"""A stream of which nothing is heard for this long has failed."""


@dataclasses.dataclass(slots=True)
class Talker:
    """One client: what it says and what it hears.

    Attributes:
        sent: frames sent so far.
        received: frames that a recorder has, as far as the server said.
        moves: how often its session came to a recorder.
        done: everything was transcribed, and the server said so.
    """

    pcm: bytes
    session: str = ""
    sentences: list[str] = dataclasses.field(default_factory=list)
    sent: int = 0
    received: int = 0
    moves: int = 0
    reconnections: int = 0
    report: Report | None = None
    done: bool = False
    stream: Stream | None = None

    async def talk(self, url: str, pace: float | None = None) -> None:
        """Stream everything and wait for the end.

        Args:
            pace: times real time; None: as fast as the server takes it.

        Raises:
            StreamError: the stream ended badly.
        """
        async with connect(url, on_event=self._hear, chunk_samples=CHUNK_SAMPLES) as stream:
            self.stream = stream
            started_s = time.monotonic()
            step = 2 * CHUNK_SAMPLES
            for start in range(0, len(self.pcm), step):
                frame = self.pcm[start : start + step]
                if pace is not None:
                    due_s = started_s + (start + len(frame)) / 2 / RATE_HZ / pace
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await stream.send(frame)
                self.sent = stream.frames
            self.report = await stream.finish(idle_timeout_s=PATIENCE_S)
            self.session = stream.session or ""
            self.reconnections = stream.reconnections
        self.done = True

    @property
    def state(self) -> str:
        """How far it got, for the message of a failure."""
        total = -(-len(self.pcm) // (2 * CHUNK_SAMPLES))
        counts = self.stream.verdicts if self.stream is not None else None
        return (
            f"{self.sent} of {total} frames sent, {self.received} with a recorder, {counts}, "
            f"{self.moves} recorders, {self.sentences}, {'done' if self.done else 'not done'}"
        )

    def _hear(self, event: ClientEvent) -> None:
        match event:
            case FullSentence():
                self.sentences.append(event.text)
            case Acknowledged():
                self.received = max(self.received, event.received)
            case TranscriberChanged(state="open"):
                self.moves += 1
            case _:
                pass


async def talk_all(url: str, talkers: Sequence[Talker], pace: float | None = None) -> None:
    """Let all talk at once; the first that fails ends it."""
    async with asyncio.TaskGroup() as group:
        for talker in talkers:
            group.create_task(talker.talk(url, pace))
