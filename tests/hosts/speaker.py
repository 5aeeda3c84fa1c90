"""``python -m tests.hosts.speaker URL STOP_FILE``: speaks at real-time pace until told to stop.

Prints what it says (``spoken KIND``) and hears (``heard TEXT``), and ``done`` after the last word.
The null engine's text is a sentence's length: that tells the kinds apart, at no cost.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path
from typing import Final

from common.client import ClientEvent, Stream, connect
from common.events import FullSentence
from tests.speech import SAMPLE_RATE, SENTENCES, load, silence

CHUNK_S: Final = 0.128
PAUSE_S: Final = 1.2
KINDS: Final = (("book",), ("city", "bread"), ("home", "coffee", "ship"))
"""Recordings that are said without a pause; two seconds longer from kind to kind."""
AROUND_S: Final = 1.0
"""Silence that a recording has before and after what was said, within a second."""


def kind_of(text: str) -> int:
    """Which kind of sentence has the length that the null engine heard."""
    heard_s = int(text.split()[0]) / SAMPLE_RATE - AROUND_S
    lengths_s = [sum(SENTENCES[name].duration_s for name in names) for names in KINDS]
    return min(range(len(KINDS)), key=lambda kind: abs(lengths_s[kind] - heard_s))


async def _say(stream: Stream, pcm: bytes) -> None:
    step = len(silence(CHUNK_S))
    for start in range(0, len(pcm), step):
        await stream.send(pcm[start : start + step])
        await asyncio.sleep(CHUNK_S)


async def speak(url: str, stop: Path) -> None:
    """Say one kind of sentence after the other."""

    def on_event(event: ClientEvent) -> None:
        if isinstance(event, FullSentence):
            print("heard", event.text, flush=True)

    async with connect(url, on_event=on_event) as stream:
        await _say(stream, silence(0.5))
        for kind in itertools.cycle(range(len(KINDS))):
            if stop.exists():
                break
            print("spoken", kind, flush=True)
            await _say(stream, b"".join(map(load, KINDS[kind])) + silence(PAUSE_S))
        await stream.finish()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(speak(sys.argv[1], Path(sys.argv[2])))
