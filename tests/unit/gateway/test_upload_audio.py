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

from gateway import upload_audio
from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError
from gateway.upload_audio import pieces, raw_pieces
from tests.protocols.m4a import BOMB, m4a

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
    rate_hz, samples = decoded(io.BytesIO(mp4(container, codec)))
    assert rate_hz == RATE_HZ
    assert abs(len(samples) - len(TONE)) < 4_000
    assert np.abs(samples).max() > 10_000


def mp4(container: str = "mp4", codec: str = "aac") -> bytes:
    """The tone, as browsers and telephones record."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF"])
def test_what_is_rare_is_read_by_the_process_that_may_fail(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = io.BytesIO()
    soundfile.write(file, TONE, RATE_HZ, format=kind)
    file.seek(0)
    monkeypatch.delattr(soundfile, "SoundFile")
    rate_hz, samples = decoded(file)
    assert rate_hz == RATE_HZ
    assert np.array_equal(samples, TONE)


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


def test_a_small_file_that_asks_for_gigabytes_gets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What decodes it is another process, which the kernel gives so much and no more."""
    with pytest.raises(ProtocolError, match="Invalid data"):
        list(pieces(io.BytesIO(m4a(1_000))))
    with pytest.raises(ProtocolError, match="no audio in it can be decoded"):
        list(pieces(io.BytesIO(BOMB)))  # its index was given up
    assert list(pieces(io.BytesIO(mp4()))), "a file that is one is read within that"
    monkeypatch.setattr(upload_audio, "DECODER_BYTES", 40 << 20)
    with pytest.raises(ProtocolError, match="its decoder failed"):
        list(pieces(io.BytesIO(mp4())))


def test_a_decoder_that_gives_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_audio, "DECODER_PATIENCE_S", 0.0)
    with pytest.raises(ProtocolError, match="nothing was decoded"):
        list(pieces(io.BytesIO(mp4())))


def test_a_thousand_channels_make_no_larger_pieces() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.ones((RATE_HZ, 1_000), np.int16), RATE_HZ, format="WAV")
    file.seek(0)
    sizes = [len(part.data) for part in pieces(file)]
    assert max(sizes) * 1_000 <= 2 * upload_audio.MAX_BLOCK_SAMPLES
    assert sum(sizes) == 2 * RATE_HZ


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
