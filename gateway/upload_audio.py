"""Audio files that were sent whole, decoded piece by piece: memory does not grow with their length.

libsndfile reads WAV, FLAC, Ogg and MP3; FFmpeg what else browsers and telephones record (M4A, WebM,
AAC). FFmpeg opens what a file refers to, so it is told which containers it may read, and no
protocol: a playlist of addresses or paths is not among them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import IO, Any, Final, NamedTuple

import numpy as np
import soundfile

from common.wire import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError

PIECE_MS: Final = 1_000
FFMPEG_CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,mp3,ogg,flac,wav"
RESAMPLED_RATE_HZ: Final = 16_000
"""Of what FFmpeg decodes: its rates and layouts may change within a file."""
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
            for block in sound.blocks(max(1, rate_hz * PIECE_MS // 1000), dtype="int16"):
                yield Piece(AudioFormat(Encoding.PCM16, rate_hz), _mono(block))
        except soundfile.LibsndfileError as error:
            raise ProtocolError(f"the file cannot be read to its end: {error}") from None


def _mono(block: Any) -> bytes:
    if block.ndim > 1:
        block = np.rint(block.mean(axis=1))
    return bytes(block.astype("<i2").tobytes())


def _with_ffmpeg(file: IO[bytes]) -> Generator[Piece, None, None]:
    import av  # takes a while, and is seldom needed

    options = {"format_whitelist": FFMPEG_CONTAINERS, "protocol_whitelist": ""}
    try:
        with av.open(file, "r", options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ProtocolError(NOT_AUDIO)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RESAMPLED_RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                yield from _resampled(resampler, frame)
            yield from _resampled(resampler, None)
    except (av.FFmpegError, ValueError) as error:
        raise ProtocolError(f"{NOT_AUDIO}: {error}") from None


def _resampled(resampler: Any, frame: Any) -> Generator[Piece, None, None]:
    for part in resampler.resample(frame):
        data = part.to_ndarray().astype("<i2").tobytes()
        yield Piece(AudioFormat(Encoding.PCM16, RESAMPLED_RATE_HZ), data)
