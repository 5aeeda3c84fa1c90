"""An intake, and a recorder that keeps what it is fed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from common.envelope import Audio, Commit, Open
from common.wire import Mark
from transcriber.intake import Intake
from transcriber.resequencer import Arrival

SESSION = b"s" * 16


START = Commit(0, 0, 0)


class Recorder:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        self.busy = False
        self.pcm = b""
        self.ends: list[str] = []
        self.marks: list[str] = []
        self.busy_after = math.inf

    def ask_for_room(self) -> bool:
        return not self.busy

    def feed(self, pcm16: bytes | memoryview) -> None:
        assert not self.ends
        self.pcm += pcm16
        self.busy = len(self.pcm) >= self.busy_after

    def hold(self) -> None:
        self.marks.append(f"hold at {len(self.pcm) // 2}")

    def end_utterance(self, number: int, *, discard: bool) -> None:
        what = "discard" if discard else "end"
        self.marks.append(f"{what} {number} at {len(self.pcm) // 2}")

    def finish(self) -> None:
        self.ends.append("end")

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        return np.frombuffer(self.pcm, dtype="<i2")


class Bench:
    """An intake with the recorder and the tap that it feeds."""

    def __init__(
        self, start: Commit = START, *, window: int = 16, tolerated: int = -1, failures: int = 0
    ) -> None:
        self.recorder = Recorder()
        self.tapped = b""
        opened = Open("gateway", SESSION, start, window, {}, tolerated, failures, epoch=7)
        self.intake = Intake(opened, self.recorder, self._tap)

    def _tap(self, pcm: bytes | memoryview) -> None:
        self.tapped += pcm

    def arrive(
        self,
        seq: int,
        pcm: bytes = b"",
        *,
        rate_hz: int = 16_000,
        corrupt: bool = False,
        hole_samples: int = 0,
        mark: Mark = Mark.NONE,
        number: int = 0,
    ) -> Arrival:
        header = Audio(SESSION, seq, rate_hz, corrupt, hole_samples, mark=mark, mark_number=number)
        arrival = self.intake.accept(header, pcm)
        self.intake.pump()
        return arrival


def frame(seq: int, samples: int = 10) -> bytes:
    """PCM that tells where it comes from."""
    return np.arange(100 * seq + 1, 100 * seq + 1 + samples, dtype="<i2").tobytes()


def tone(samples: int, rate_hz: int) -> bytes:
    """A tone of 200 Hz."""
    turns = np.arange(samples) * (200 / rate_hz)
    sound: npt.NDArray[np.int16] = np.rint(np.sin(2 * np.pi * turns) * 10_000).astype("<i2")
    return sound.tobytes()
