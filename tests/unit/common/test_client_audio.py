from __future__ import annotations

from pathlib import Path

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
    with pytest.raises(AudioFileError, match=r"missing\.wav"):
        AudioFile(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(AudioFileError, match=r"text\.wav"):
        AudioFile(tmp_path / "text.wav")
