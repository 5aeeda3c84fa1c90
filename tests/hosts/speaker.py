"""``python -m tests.hosts.speaker URL STOP_FILE``: speaks at real-time pace until told to stop.

Prints what it says (``spoken NAME``) and hears (``heard TEXT``), and ``done`` after the last word.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path
from typing import Final

from common.client import ClientEvent, Stream, connect
from common.events import FullSentence
from tests.speech import SENTENCES, load, silence

CHUNK_S: Final = 0.128
NAMES: Final = sorted(SENTENCES, key=lambda name: SENTENCES[name].duration_s)[:6]


async def _say(stream: Stream, pcm: bytes) -> None:
    step = len(silence(CHUNK_S))
    for start in range(0, len(pcm), step):
        await stream.send(pcm[start : start + step])
        await asyncio.sleep(CHUNK_S)


async def speak(url: str, stop: Path) -> None:
    """Speak the shortest sentences in turn."""

    def on_event(event: ClientEvent) -> None:
        if isinstance(event, FullSentence):
            print("heard", event.text, flush=True)

    async with connect(url, on_event=on_event) as stream:
        await _say(stream, silence(0.5))
        for name in itertools.cycle(NAMES):
            if stop.exists():
                break
            print("spoken", name, flush=True)
            await _say(stream, load(name) + silence(1.2))
        await stream.finish()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(speak(sys.argv[1], Path(sys.argv[2])))
