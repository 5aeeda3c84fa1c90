"""RealtimeSTT's own ``stt-server`` data handler, with a recorder that does nothing.

The handler is the installed package's, unmodified. Its module imports PyAudio, which a server
does not need: two constants stand in for it. What it prints goes where standard output goes.
"""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

from websockets.asyncio.server import serve


class NullRecorder:
    """Takes audio and drops it."""

    def feed_audio(self, chunk: bytes, original_sample_rate: int = 16_000) -> None:
        """Drop the audio."""

    def clear_audio_queue(self) -> None:
        """There is nothing to clear."""


def _load_server() -> Any:
    pyaudio: Any = types.ModuleType("pyaudio")
    pyaudio.paInt16 = 8
    sys.modules["pyaudio"] = pyaudio
    from RealtimeSTT_server import stt_server

    stt_server.recorder = NullRecorder()
    return stt_server


async def main(port: int) -> None:
    """Serve until killed."""
    handler = _load_server().data_handler
    async with serve(handler, "127.0.0.1", port):
        print("stock server is ready", file=sys.stderr, flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
