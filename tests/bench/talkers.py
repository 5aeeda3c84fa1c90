"""Clients of the engine's bench: each speaks at real-time pace and notes how old its texts are.

The engine's texts are numbers of samples (:mod:`tests.bench.modelled_engine`): so each partial says
which audio it covers, and its age is exact. Audio is sent when its last sample would be spoken.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import Final

import numpy as np

from common.client.errors import ServerBusyError
from common.client.stream import connect
from common.events import FullSentence, Notice, Realtime
from tests.bench.speakers import PAUSE_S, RATE_HZ, chunks_of, speech_of, stagger_s

LOUD: Final = 400
"""An int16 sample above it is speech."""
LISTEN_S: Final = 20.0
"""For the last text, after all was said."""


@dataclasses.dataclass(slots=True)
class Waits:
    """What one client, or several, waited for; seconds.

    Attributes:
        after_speech: from the end of speech to its text, the recorder's pause included.
        after_stop: from the end of the recording to its text: what the engine adds.
        partial_ages: how old the newest audio of each partial was when it came.
        said_s: how long each recording was.
        spoken, heard: sentences.
    """

    after_speech: list[float] = dataclasses.field(default_factory=list)
    after_stop: list[float] = dataclasses.field(default_factory=list)
    partial_ages: list[float] = dataclasses.field(default_factory=list)
    said_s: list[float] = dataclasses.field(default_factory=list)
    spoken: int = 0
    heard: int = 0
    refused: int = 0

    def add(self, other: Waits) -> None:
        """Count another client's."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class _Ear:
    """Hears one session's events; all positions in seconds of its audio."""

    def __init__(self) -> None:
        self.waits = Waits()
        self.start_s = 0.0
        self.speech_ends_s: list[float] = []
        self._stops: list[float] = []
        self._partials: list[tuple[float, int]] = []

    def hear(self, event: object) -> None:
        now_s = time.perf_counter() - self.start_s
        match event:
            case Notice(type="recording_stop"):
                self._stops.append(now_s)
            case Realtime(text=text):
                self._partials.append((now_s, _samples(text)))
            case FullSentence() as sentence:
                self._text(sentence, now_s)

    def _text(self, sentence: FullSentence, now_s: float) -> None:
        waits, number = self.waits, self.waits.heard
        waits.heard += 1
        if number < len(self._stops):
            waits.after_stop.append(now_s - self._stops[number])
        if number < len(self.speech_ends_s):
            waits.after_speech.append(now_s - self.speech_ends_s[number])
        begin_s = (sentence.start_ms or 0) / 1000
        waits.said_s.append((sentence.end_ms or 0) / 1000 - begin_s)
        for heard_s, samples in self._partials:
            waits.partial_ages.append(heard_s - begin_s - samples / RATE_HZ)
        self._partials.clear()


async def talk(url: str, number: int, sentences: int, connected: asyncio.Barrier) -> Waits:
    """One client's sentences, from when all are connected on; what it waited for."""
    ear = _Ear()
    try:
        async with connect(url, on_event=ear.hear) as stream:
            await connected.wait()
            await asyncio.sleep(stagger_s(number))
            ear.start_s, sent = time.perf_counter(), 0
            for turn in range(sentences):
                pcm = speech_of(number + turn)
                ear.speech_ends_s.append(sent / RATE_HZ + _speech_s(pcm))
                ear.waits.spoken += 1
                for chunk in chunks_of(pcm + bytes(2 * int(PAUSE_S * RATE_HZ))):
                    sent += len(chunk) // 2
                    await asyncio.sleep(
                        max(0.0, ear.start_s + sent / RATE_HZ - time.perf_counter())
                    )
                    await stream.send(chunk)
            with contextlib.suppress(TimeoutError):
                await stream.finish(idle_timeout_s=LISTEN_S)
    except ServerBusyError:
        await connected.wait()
        ear.waits.refused = 1
    return ear.waits


def _speech_s(pcm: bytes) -> float:
    """Where the speech in a clip ends."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > LOUD)
    return float(loud[-1]) / RATE_HZ


def _samples(text: str) -> int:
    # As displayed, a partial may have a capital or dots, which a number does not mind.
    return int("".join(character for character in text if character.isdecimal()) or 0)
