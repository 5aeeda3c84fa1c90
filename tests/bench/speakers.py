"""Clients that speak at real-time pace, each its own sentences."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from common.client.stream import connect
from common.events import FullSentence, Notice
from tests import speech

RATE_HZ = 16_000
PAUSE_S = 1.2
CHUNK_SAMPLES = 2_048


async def speak(url: str, number: int, sentences: int, connected: asyncio.Barrier) -> list[float]:
    """A stream to our gateway; delays from each recording's end to its final."""
    stopped: list[float] = []
    delays: list[float] = []

    def heard(event: object) -> None:
        if isinstance(event, Notice) and event.type == "recording_stop":
            stopped.append(time.perf_counter())
        elif isinstance(event, FullSentence) and len(delays) < len(stopped):
            delays.append(time.perf_counter() - stopped[len(delays)])

    async with connect(url, on_event=heard) as stream:
        await connected.wait()
        await asyncio.sleep(stagger_s(number))
        start, sent = time.perf_counter(), 0
        for turn in range(sentences):
            for chunk in chunks_of(speech_of(number + turn) + bytes(2 * int(PAUSE_S * RATE_HZ))):
                sent += len(chunk) // 2
                await stream.send(chunk)
                await asyncio.sleep(max(0.0, start + sent / RATE_HZ - time.perf_counter()))
        await stream.finish()
    return delays


def stagger_s(number: int) -> float:
    """When stream ``number`` begins, in seconds."""
    return (number * 0.37) % 3


def speech_of(number: int) -> bytes:
    """What it says: int16 PCM at 16 kHz."""
    names = sorted(speech.SENTENCES)
    return speech.load(names[number % len(names)])


def chunks_of(pcm: bytes) -> Iterator[bytes]:
    """Pieces of the size that it sends."""
    size = 2 * CHUNK_SAMPLES
    return (pcm[offset : offset + size] for offset in range(0, len(pcm), size))
