"""Audio files that were sent whole, decoded piece by piece: memory does not grow with their length.

libsndfile reads WAV, FLAC, Ogg and MP3; FFmpeg what else browsers and telephones record (M4A, WebM,
AAC), in a process of its own (``ffmpeg_decoder.py``) whose memory is bounded.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import IO, Any, Final, NamedTuple, Self

import numpy as np
import soundfile

from common.wire import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from gateway import ffmpeg_decoder
from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError

PIECE_MS: Final = 1_000
MAX_BLOCK_SAMPLES: Final = 2 * MAX_SAMPLE_RATE_HZ
"""Of all channels of a piece: a file may say that it has a thousand."""
_FOR_LIBSNDFILE: Final = re.compile(rb"RIFF|RF64|fLaC|OggS|ID3|\xff[\xe0-\xff]")
"""How WAV, FLAC, Ogg and MP3 begin. It reads twenty kinds more, which have no business here."""
DECODER_BYTES: Final = 512 << 20
"""Address space of the process that decodes a file, its libraries included."""
DECODER_PATIENCE_S: Final = 30.0
"""A decoder that gives nothing for so long is ended."""
PASSED_ON: Final = ("LD_LIBRARY_PATH", "TMPDIR")
"""What a decoder is told of the environment: no secret that is in it."""
NOT_AUDIO: Final = "the file is not audio that can be read here (wav, flac, ogg, mp3, m4a, webm)"


class Piece(NamedTuple):
    """Some of a file's audio."""

    format: AudioFormat
    data: bytes


def raw_pieces(file: IO[bytes], audio_format: AudioFormat) -> Generator[Piece, None, None]:
    """What is no file but samples, as the sender says they are."""
    size = audio_format.block_bytes * max(1, audio_format.rate_hz * PIECE_MS // 1000)
    while data := file.read(size):
        yield Piece(audio_format, data)


def pieces(file: IO[bytes]) -> Generator[Piece, None, None]:
    """Decode a file from its present position; each piece is of a second at most.

    Raises:
        ProtocolError: it holds no audio that can be read, or breaks off within.
    """
    begin = file.tell()
    beginning = file.read(4)
    file.seek(begin)
    if not _FOR_LIBSNDFILE.match(beginning):
        yield from _with_ffmpeg(file)
        return
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError, ValueError):
        file.seek(begin)
        yield from _with_ffmpeg(file)
        return
    with sound:
        rate_hz = int(sound.samplerate)
        if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
            raise ProtocolError(f"the file's sample rate, {rate_hz} Hz, cannot be used")
        try:
            most = min(rate_hz * PIECE_MS // 1000, MAX_BLOCK_SAMPLES // sound.channels)
            for block in sound.blocks(max(1, most), dtype="int16"):
                yield Piece(AudioFormat(Encoding.PCM16, rate_hz), _mono(block))
        except soundfile.LibsndfileError as error:
            raise ProtocolError(f"the file cannot be read to its end: {error}") from None


def _mono(block: Any) -> bytes:
    if block.ndim > 1:
        block = np.rint(block.mean(axis=1))
    return bytes(block.astype("<i2").tobytes())


def _with_ffmpeg(file: IO[bytes]) -> Generator[Piece, None, None]:
    with contextlib.ExitStack() as stack:
        begin = file.tell()
        decoder = stack.enter_context(_Decoder(stack.enter_context(_on_disk(file)), begin))
        while piece := decoder.next_piece():
            yield Piece(AudioFormat(Encoding.PCM16, ffmpeg_decoder.RATE_HZ), piece)


@contextlib.contextmanager
def _on_disk(file: IO[bytes]) -> Iterator[int]:
    """The descriptor of a file, or of a copy of what is in memory alone."""
    try:
        number = file.fileno()
        file.flush()
    except OSError:
        with tempfile.TemporaryFile() as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy.fileno()
    else:
        yield number


class _Decoder:
    """The process that decodes one file.

    Raises:
        ProtocolError: from :meth:`next_piece`, once the file turns out to be none that can be read.
    """

    def __init__(self, file: int, begin: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", ffmpeg_decoder.__file__, str(begin), str(DECODER_BYTES)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def next_piece(self) -> bytes:
        """Some samples; b"" at the end of the file."""
        (size,) = ffmpeg_decoder.SIZE.unpack(self._read(ffmpeg_decoder.SIZE.size))
        if size:
            return self._read(size)
        fault = b""
        while part := self._some(1_000):
            fault += part
        if fault:
            raise ProtocolError(f"{NOT_AUDIO}: {fault.decode(errors='replace')}")
        return b""

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._some(size - len(data))
            if not part:
                raise ProtocolError(f"{NOT_AUDIO}: its decoder failed")
            data += part
        return data

    def _some(self, most: int) -> bytes:
        if not self._poll.poll(DECODER_PATIENCE_S * 1_000):
            raise ProtocolError(f"{NOT_AUDIO}: nothing was decoded for {DECODER_PATIENCE_S:g} s")
        return os.read(self._out, most)
