from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from common.client.audio import AudioFile, AudioFileError

SAMPLES = np.array([0, 1000, -1000, 32767, -32768, 7], dtype=np.int16)


def read(path: Path, samples: int = 4) -> list[int]:
    with AudioFile(path) as audio:
        return [v for b in audio.blocks(samples) for v in np.frombuffer(b, "<i2").tolist()]


def test_16_bit_mono_comes_through_bit_for_bit(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", SAMPLES, 44_100)
    assert read(tmp_path / "a.wav") == SAMPLES.tolist()
    with AudioFile(tmp_path / "a.wav") as audio:
        assert audio.info.sample_rate_hz == 44_100
        assert [len(block) for block in audio.blocks(4)] == [8, 4]


def test_channels_are_mixed(tmp_path: Path) -> None:
    stereo = np.stack([SAMPLES, np.zeros_like(SAMPLES)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000)
    assert np.allclose(read(tmp_path / "a.wav"), SAMPLES / 2, atol=1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_width_is_scaled_to_16_bits(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", SAMPLES / 32768, 8_000, subtype=subtype)
    assert np.allclose(read(tmp_path / "a.wav"), SAMPLES, atol=256 if subtype == "PCM_U8" else 2)


def test_floats_past_full_scale_are_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([1.5, -1.5]), 16_000, subtype="FLOAT")
    assert read(tmp_path / "a.wav") == [32767, -32768]


def test_a_file_that_is_missing_or_not_audio_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"missing\.wav: No such file or directory"):
        AudioFile(tmp_path / "missing.wav")
    with pytest.raises(AudioFileError, match="Is a directory"):
        AudioFile(tmp_path)
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(AudioFileError, match=r"text\.wav"):
        AudioFile(tmp_path / "text.wav")


@pytest.mark.parametrize("name", ["a.raw", "a.PCM"])
def test_a_raw_file_is_taken_at_the_rate_that_is_given(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SAMPLES.tobytes())
    assert read(tmp_path / name) == SAMPLES.tolist()
    with AudioFile(tmp_path / name, raw_rate_hz=8_000) as audio:
        assert audio.info == (8_000, 1, 6)


def m4a(path: Path, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def test_what_libsndfile_does_not_read_ffmpegs_libraries_do(tmp_path: Path) -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.int16)
    m4a(tmp_path / "a.m4a", tone)
    heard = np.array(read(tmp_path / "a.m4a", 1000))
    spectrum = np.abs(np.fft.rfft(heard[4000:12000]))
    assert int(spectrum.argmax()) * 16_000 / 8_000 == 440
    with AudioFile(tmp_path / "a.m4a") as audio:
        assert audio.info.sample_rate_hz == 16_000
        assert abs(audio.info.seconds - len(heard) / 16_000) < 0.2


def test_without_them_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m4a(tmp_path / "a.m4a", SAMPLES)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioFileError, match=r"a\.m4a: Format not recognised .*pip install av"):
        AudioFile(tmp_path / "a.m4a")


@pytest.mark.parametrize("rate_hz", [2_000, 384_000])
def test_a_rate_that_servers_refuse_is_refused_before_anything_is_sent(
    tmp_path: Path, rate_hz: int
) -> None:
    soundfile.write(tmp_path / "a.wav", SAMPLES, rate_hz)
    with pytest.raises(AudioFileError, match=rf"a\.wav has {rate_hz} samples .* 4000 to 192000"):
        AudioFile(tmp_path / "a.wav")
