"""Files of each kind, decoded piece by piece; and files that are none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError
from gateway.upload_audio import pieces, raw_pieces

RATE_HZ = 16_000
TONE = (np.sin(np.arange(3 * RATE_HZ) * 2 * np.pi * 440 / RATE_HZ) * 12_000).astype(np.int16)


def decoded(file: io.BytesIO) -> tuple[int, npt.NDArray[np.int16]]:
    parts = list(pieces(file))
    samples = np.frombuffer(b"".join(part.data for part in parts), "<i2")
    return parts[0].format.rate_hz, samples


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_what_libsndfile_reads(kind: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, TONE, RATE_HZ, format=kind)
    file.seek(0)
    rate_hz, samples = decoded(file)
    assert rate_hz == RATE_HZ
    assert abs(len(samples) - len(TONE)) < 2_500  # MP3 pads
    assert np.abs(samples).max() > 10_000


@pytest.mark.parametrize("container, codec", [("mp4", "aac"), ("webm", "libopus")])
def test_what_ffmpeg_reads(container: str, codec: str) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    file.seek(0)
    rate_hz, samples = decoded(file)
    assert rate_hz == RATE_HZ
    assert abs(len(samples) - len(TONE)) < 4_000
    assert np.abs(samples).max() > 10_000


def test_stereo_is_mixed_and_no_piece_is_longer_than_a_second() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.stack([TONE, -TONE], axis=1), RATE_HZ, format="WAV")
    file.seek(0)
    parts = list(pieces(file))
    assert [len(part.data) for part in parts] == [2 * RATE_HZ] * 3
    assert not any(any(part.data) for part in parts)


@pytest.mark.parametrize("data", [b"", b"no audio", bytes(5000), b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_audio_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(pieces(io.BytesIO(data)))


def test_a_playlist_opens_nothing(tmp_path: Path) -> None:
    """FFmpeg would read any file or address that a playlist names."""
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, TONE, RATE_HZ)
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
    ):
        with pytest.raises(ProtocolError):
            list(pieces(io.BytesIO(text.encode())))


def test_samples_without_a_file_are_taken_as_they_are_said_to_be() -> None:
    audio_format = AudioFormat(Encoding.MULAW, 8_000)
    parts = list(raw_pieces(io.BytesIO(bytes(20_000)), audio_format))
    assert [len(part.data) for part in parts] == [8_000, 8_000, 4_000]
    assert parts[0].format is audio_format
