"""Audio on standard input: raw int16 mono PCM, or a WAV file, which tells its rate itself."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import sys
import wave
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import numpy as np

from ..wire import BYTES_PER_SAMPLE
from .audio import AudioFileError, check_rate, mono

MAX_HEADER_BYTES: Final = 1 << 16
"""A WAV header with all that programs put before the samples."""

_OTHER_FORMATS: Final = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"FORM": "AIFF"}


class Layout(NamedTuple):
    """How the samples lie: int16 LE, channels interleaved."""

    rate_hz: int
    channels: int
    header_bytes: int
    """What comes before them."""
    most_bytes: int
    """How many follow; what comes after them is no audio."""


def layout_of(head: bytes, raw_rate_hz: int) -> Layout | None:
    """What the first bytes say; None: more of them are needed.

    Raises:
        AudioFileError: it is audio of a kind that cannot be taken from a pipe.
    """
    for magic, name in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise AudioFileError(
                f"standard input holds {name}, not PCM: give the file's name instead of -"
            )
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return Layout(raw_rate_hz, 1, 0, sys.maxsize)
    start = io.BytesIO(head)
    try:
        with wave.open(start) as header:
            position, width, channels = start.tell(), header.getsampwidth(), header.getnchannels()
            rate_hz, most = header.getframerate(), header.getnframes() * channels * width
    except EOFError:
        return None
    except wave.Error as error:
        at = head.find(b"data")
        if at < 0 or len(head) < at + 8:
            return None
        raise AudioFileError(
            f"standard input holds a WAV file that cannot be read from a pipe ({error}): only "
            "16-bit PCM can; give the file's name instead of -"
        ) from None
    if width != BYTES_PER_SAMPLE:
        raise AudioFileError(
            f"standard input holds a WAV file of {8 * width}-bit samples: only 16-bit can be read "
            "from a pipe; give the file's name instead of -"
        )
    check_rate(rate_hz, "the WAV file on standard input")
    return Layout(rate_hz, channels, position, most or sys.maxsize)


class StandardInput:
    """Standard input as it comes; made by :meth:`open`."""

    def __init__(self, layout: Layout, head: bytes, bytes_: AsyncIterator[bytes]) -> None:
        self._layout = layout
        self._head = head[layout.header_bytes :]
        self._bytes = bytes_

    @property
    def sample_rate_hz(self) -> int:
        """Of the samples that follow."""
        return self._layout.rate_hz

    @classmethod
    async def open(cls, raw_rate_hz: int) -> StandardInput:
        """Wait for the first bytes and see what they are.

        Raises:
            AudioFileError: there are none, or they cannot be used.
        """
        bytes_ = _standard_input()
        head = b""
        layout = None
        while layout is None:
            more = await anext(bytes_, b"")
            head += more
            if not head:
                raise AudioFileError("there is no audio on standard input")
            if len(head) >= 12 or not more:
                layout = layout_of(head, raw_rate_hz)
            if layout is None and (not more or len(head) > MAX_HEADER_BYTES):
                raise AudioFileError("standard input holds a WAV header without samples")
        return cls(layout, head, bytes_)

    async def blocks(self, samples: int) -> AsyncIterator[bytes]:
        """int16 LE mono PCM, ``samples`` at a time, as soon as they are there."""
        left = self._layout.most_bytes
        size = samples * BYTES_PER_SAMPLE * self._layout.channels
        waiting = self._head
        while left > 0:
            while len(waiting) < min(size, left) and (more := await anext(self._bytes, b"")):
                waiting += more
            block, waiting = waiting[: min(size, left)], waiting[size:]
            left -= len(block)
            if pcm := self._mono(block):
                yield pcm
            if len(block) < size:
                return

    def _mono(self, block: bytes) -> bytes:
        channels = self._layout.channels
        whole = len(block) // (BYTES_PER_SAMPLE * channels)
        frames = np.frombuffer(block, "<i2", whole * channels).reshape(-1, channels)
        return mono(frames.astype(np.int16, copy=False)).astype("<i2", copy=False).tobytes()


async def _standard_input() -> AsyncIterator[bytes]:
    """Bytes as they come; a pipe, socket or terminal is awaited, anything else read in a thread."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        while block := await asyncio.to_thread(os.read, sys.stdin.fileno(), MAX_HEADER_BYTES):
            yield block
        return
    reader = asyncio.StreamReader(limit=MAX_HEADER_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        while block := await reader.read(MAX_HEADER_BYTES):
            yield block
    finally:
        transport.close()
