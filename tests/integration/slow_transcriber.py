"""A transcriber that has half a core: each chunk of audio takes its recorder twice as long as that
was spoken. Run as ``python -m transcriber`` is."""

from __future__ import annotations

import sys
import time
from typing import Final

from transcriber.__main__ import main
from transcriber.recorder.audio_clock import SAMPLE_RATE_HZ
from transcriber.recorder.feed import CHUNK_SAMPLES, ChunkFeed, Command

CHUNK_S: Final = 2 * CHUNK_SAMPLES / SAMPLE_RATE_HZ


def slow_down() -> None:
    """Give recorders each chunk only after a while."""
    take = ChunkFeed._next

    def late(self: ChunkFeed) -> bytes | Command:
        item = take(self)
        if isinstance(item, bytes):
            time.sleep(CHUNK_S)
        return item

    ChunkFeed._next = late  # type: ignore[method-assign]


if __name__ == "__main__":
    slow_down()
    sys.exit(main())
