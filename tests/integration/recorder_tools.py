"""A client of real recorders, and an engine that tells exactly what it was given."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from common.recognition_settings import RecorderSettings
from transcriber.engines.base import AudioRequest, Outcome, Transcript
from transcriber.recorder.outputs import (
    AllReported,
    BacklogCleared,
    FinalStart,
    RecorderOutput,
    RecordingText,
    SilenceCommit,
    StateNotice,
)
from transcriber.recorder.recorder import Recorder
from transcriber.scheduler import Scheduler

E = TypeVar("E", bound=RecorderOutput)


def with_noise(pcm: bytes, level: float, seed: int = 1) -> bytes:
    """Speech in white noise of the given standard deviation."""
    noise = np.random.default_rng(seed).standard_normal(len(pcm) // 2) * level
    return np.clip(np.frombuffer(pcm, "<i2") + noise, -32768, 32767).astype("<i2").tobytes()


class HashEngine:
    """Its text is a hash of the audio; may be slow, or fail a number of times.

    Partials get the text ``partial``.
    """

    name = "hash"
    concurrency = 1
    max_batch = 1
    realtime_share = 1.0

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()
        self.finals = 0

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """One request at a time."""
        if requests[0].realtime:
            return [Transcript("partial")]
        self.finals += 1
        assert self.gate.wait(30)
        time.sleep(self.delay_s)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the engine stumbled")
        return [Transcript(hashlib.md5(requests[0].audio.tobytes()).hexdigest())]

    def close(self) -> None:
        """Let go whoever waits."""
        self.gate.set()


class Client:
    """A session and what it reported."""

    def __init__(
        self,
        scheduler: Scheduler,
        options: RecorderSettings | None = None,
        name: str = "session",
        start_sample: int = 0,
    ) -> None:
        self.events: list[RecorderOutput] = []
        self._changed = threading.Condition()
        self.session = Recorder(
            options or RecorderSettings(), scheduler, name, self._on_event, start_sample
        )

    def _on_event(self, event: RecorderOutput) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, kind: type[RecorderOutput], count: int = 1, timeout_s: float = 60) -> None:
        """Wait until ``count`` events of a type were reported."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(kind)) >= count, timeout_s), (
                f"waited for {count} {kind.__name__} in {self.events}"
            )

    def feed(self, pcm: bytes, frame_bytes: int = 4096) -> None:
        """Feed all of it, held back when the session asks for it."""
        for offset in range(0, len(pcm), frame_bytes):
            cleared = len(self.of(BacklogCleared))
            if not self.session.ask_for_room():
                self.wait_for(BacklogCleared, cleared + 1)
            self.session.feed(pcm[offset : offset + frame_bytes])

    def is_held_back(self) -> bool:
        """Whether the session asks to be fed later."""
        return not self.session.ask_for_room()

    def finish(self) -> None:
        """End the stream, wait for all of it, close."""
        self.session.finish()
        self.wait_for(AllReported)
        self.session.close()

    def of(self, kind: type[E]) -> list[E]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def sentences(self) -> list[RecordingText]:
        """All of them, empty ones included."""
        return self.of(RecordingText)

    @property
    def texts(self) -> list[str]:
        """Of all sentences."""
        return [sentence.text for sentence in self.sentences]

    @property
    def commits(self) -> list[int]:
        """Every position where a replay may start."""
        silences = [event.sample for event in self.of(SilenceCommit)]
        return sorted(silences + [sentence.end_sample for sentence in self.sentences])

    def story(self, after: int = 0) -> list[object]:
        """What an equal recorder reports as well, past a position."""
        notices = [event for event in self.of(StateNotice) if event.at_sample > after]
        starts = [event for event in self.of(FinalStart) if event.at_sample > after]
        sentences = [event for event in self.sentences if event.at_sample > after]
        return [notices, starts, sentences]


def stream(
    scheduler: Scheduler,
    pcm: bytes,
    options: RecorderSettings | None = None,
    start_sample: int = 0,
    frame_bytes: int = 4096,
    name: str = "session",
) -> Client:
    """Feed ``pcm`` from ``start_sample`` on to a fresh recorder, to the end."""
    client = Client(scheduler, options, name, start_sample)
    client.feed(pcm[2 * start_sample :], frame_bytes)
    client.finish()
    return client
