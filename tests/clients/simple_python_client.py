#!/usr/bin/env python
"""Streams a microphone, or a file, with verification, and prints what is said.

    python simple_python_client.py                 # speak; Ctrl-C ends it
    python simple_python_client.py --file a.wav    # without a microphone

Expects every frame to arrive intact. The microphone needs the package `sounddevice`:
pip install sounddevice
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.client import ClientEvent
from common.client.stream import Stream, connect
from common.client.view import verdict_line
from common.events import Error, FrameVerdict, FullSentence, Realtime
from tests.clients.tool import CHUNK_SAMPLES, SAMPLE_RATE_HZ, ExpectationError, expect, parser, run

MOST_WAITING_BLOCKS = 64  # 16 s of a microphone that nobody sends


def show(event: ClientEvent) -> None:
    """Print text, and what is wrong."""
    match event:
        case FullSentence(text=text):
            print(f"Sentence: {text}", flush=True)
        case Realtime(text=text):
            print(f"   ... {text}", flush=True)
        case Error(message=message):
            print(f"[ERROR] {message}", flush=True)
        case FrameVerdict(verdict="corrupt"):
            print(verdict_line(event), flush=True)


def microphone_library() -> Any:
    """The module ``sounddevice``.

    Raises:
        ExpectationError: it is not installed, or PortAudio under it is not.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise ExpectationError(
            f"no microphone ({error}): `pip install sounddevice` (and PortAudio: on Debian "
            "`apt install libportaudio2`), or use --file"
        ) from None
    return sounddevice


async def microphone(sounddevice: Any) -> AsyncIterator[bytes]:
    """Blocks of int16 PCM from the default microphone.

    Raises:
        ExpectationError: there is none.
    """
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING_BLOCKS)

    def enqueue(block: bytes) -> None:
        if blocks.full():
            print("[WARNING] the server cannot keep up: a block of audio is dropped")
        else:
            blocks.put_nowait(block)

    def on_audio(data: Any, _frames: int, _time: Any, status: Any) -> None:
        if status:
            print(f"[WARNING] microphone: {status}")
        loop.call_soon_threadsafe(enqueue, bytes(data))

    try:
        with sounddevice.RawInputStream(
            SAMPLE_RATE_HZ, CHUNK_SAMPLES, dtype="int16", channels=1, callback=on_audio
        ):
            print("Speak; Ctrl-C ends the stream.")
            while True:
                yield await blocks.get()
    except sounddevice.PortAudioError as error:
        raise ExpectationError(f"cannot use the microphone: {error}; or use --file") from None


async def send_microphone(stream: Stream, sounddevice: Any) -> None:
    """Send the microphone until the task is cancelled."""
    async for block in microphone(sounddevice):
        await stream.send(block)


async def talk(options: argparse.Namespace) -> None:
    """Stream, print, and check the verdicts at the end."""
    sounddevice = None if options.file else microphone_library()
    async with connect(options.url, chunk_samples=CHUNK_SAMPLES, on_event=show) as stream:
        if not stream.verifying:
            print("[WARNING] the server does not verify: start it with --verify-data-integrity")
        if options.file:
            sending = stream.send_file(options.file, pace=None if options.fast else 1.0)
            sender: asyncio.Task[Any] = asyncio.create_task(sending)
        else:
            sender = asyncio.create_task(send_microphone(stream, sounddevice))
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, sender.cancel)
        await asyncio.wait([sender], timeout=options.seconds)
        sender.cancel()
        await asyncio.wait([sender])
        if not sender.cancelled():
            sender.result()
        report = await stream.finish()
    assert report is not None  # a stream with integrity events ends with one
    print(f"{report.frames} frames, {report.audio_seconds:.1f} s, {report.sentences} sentences")
    if stream.verifying:
        expect(
            report.ok == report.frames and report.corrupt == report.lost == 0,
            f"all {report.frames} frames were verified",
            f"ok {report.ok}, unverified {report.unverified}, corrupt {report.corrupt}, "
            f"lost {report.lost}",
        )


def main() -> int:
    """Parse the options and run."""
    arguments = parser(__doc__)
    arguments.add_argument("--file", metavar="WAV", help="stream this file instead")
    arguments.add_argument("--fast", action="store_true", help="a file faster than real time")
    arguments.add_argument("--seconds", type=float, help="stop after so long")
    options = arguments.parse_args()
    return run(lambda: talk(options))


if __name__ == "__main__":
    sys.exit(main())
