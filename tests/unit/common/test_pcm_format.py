"""What is said of audio that is not int16 mono, and that nothing is said of what is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from common.diagnosis import INT16, NOTHING, Diagnosis, Samples
from common.pcm_format import container_of, look_at

SPEECH: Final = sorted((Path(__file__).parents[2] / "speech").glob("*.wav"))
FLOATS: Final = "the samples are 32-bit floats: send int16"
STEREO: Final = "stereo sent as mono: two channels take turns"
WRONG_RATE: Final = "sampleRate is not that of the audio: its upper band is empty"


def speech(path: Path) -> Samples:
    return np.asarray(soundfile.read(path, dtype="int16")[0])


def loudest(samples: Samples, size: int = 4096) -> Samples:
    starts = range(0, samples.size - size, size)
    levels = [np.abs(samples[start : start + size].astype(np.int32)).mean() for start in starts]
    start = starts[int(np.argmax(levels))]
    return samples[start : start + size]


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.stem)
def test_real_speech_is_what_it_should_be(path: Path) -> None:
    samples = speech(path)
    for start in range(0, samples.size, 1024):
        assert look_at(samples[start : start + 1024].tobytes(), first=start == 0) == NOTHING


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["noise", "quiet", "square", "sine"]))
def test_int16_audio_is_never_called_floats(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    match kind:
        case "noise":
            samples = random.integers(-32_768, 32_768, 1024)
        case "quiet":
            samples = random.integers(-3, 4, 1024)
        case "square":  # in the very band of a float's upper half
            samples = np.where(np.arange(1024) // 20 % 2, 14_000, -14_000)
        case _:
            rate = random.uniform(50, 7_900)
            samples = 16_000 * np.sin(np.arange(1024) * rate * 2 * np.pi / 16_000)
    assert look_at(samples.astype(INT16).tobytes(), first=True).certain == ""


@pytest.mark.parametrize("path", SPEECH[:4], ids=lambda path: path.stem)
@pytest.mark.parametrize("noise", [0.0, 1e-5])
def test_floats_are_named(path: Path, noise: float) -> None:
    random = np.random.default_rng(1)
    floats = loudest(speech(path)) / 32_768 + random.normal(0, noise, 4096)
    assert look_at(floats.astype("<f4").tobytes(), first=False).certain == FLOATS


@pytest.mark.parametrize("path", SPEECH[:4], ids=lambda path: path.stem)
def test_two_channels_are_likely_and_never_certain(path: Path) -> None:
    left = loudest(speech(path))
    for right in (left, (left // 8).astype(INT16), np.roll(left, 800), np.zeros_like(left)):
        said = look_at(np.stack([left, right], 1).tobytes(), first=False)
        assert (said.certain, said.likely) == ("", STEREO)


@pytest.mark.parametrize(
    "head, name",
    [
        (b"RIFF\x24\x00\x01\x00WAVEfmt ", "a WAV"),
        (b"FORM\x00\x01\x00\x00AIFFCOMM", "an AIFF"),
        (b"OggS\x00\x02\x00\x00", "an Ogg"),
        (b"fLaC\x00\x00\x00\x22", "a FLAC"),
        (b"ID3\x04\x00\x00\x00\x00\x01\x00", "an MP3"),
        (b"\x00\x00\x00\x1cftypM4A \x00", "an MP4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "a WebM"),
        (b"\x00\x00\x00\x00", ""),
        (b"RIFF", ""),
        (b"", ""),
    ],
)
def test_a_file_sent_as_samples_is_named(head: bytes, name: str) -> None:
    assert container_of(memoryview(head + bytes(100))[: len(head) + 100 if head else 0]) == name
    said = look_at(head + bytes(1000), first=True)
    expected = f"the audio begins with {name} header: send its samples alone" if name else ""
    assert said.certain == expected
    assert look_at(head + bytes(1000), first=False) == NOTHING


@given(st.binary(max_size=3_000), st.booleans())
def test_it_survives_anything(pcm: bytes, first: bool) -> None:
    look_at(pcm, first=first)


def stretched(samples: Samples, rate_hz: int) -> Samples:
    """Audio of 16 kHz made one of another rate, as it should be."""
    moved = soxr.resample(samples.astype(np.float64), 16_000, rate_hz)
    limited: Samples = np.clip(np.rint(moved), -32_768, 32_767).astype(INT16)
    return limited


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.stem)
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_speech_at_another_rate_than_it_says_is_likely_and_never_certain(
    path: Path, rate_hz: int
) -> None:
    samples = loudest(stretched(speech(path), rate_hz))
    assert look_at(samples.tobytes(), first=False) == Diagnosis(likely=WRONG_RATE)


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.stem)
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000])
@pytest.mark.parametrize("size", [1_024, 4_096])
def test_speech_at_its_rate_is_not_said_to_have_another(
    path: Path, rate_hz: int, size: int
) -> None:
    """Nor is what came over a telephone (0.3 to 3.4 kHz) and is sent at 16 kHz."""
    samples = speech(path)
    narrow = stretched(samples, rate_hz)
    telephone = soxr.resample(narrow.astype(np.float64), rate_hz, 16_000)
    for audio in (narrow, np.clip(np.rint(telephone), -32_768, 32_767).astype(INT16)):
        for start in range(0, audio.size - size, size):
            said = look_at(audio[start : start + size].tobytes(), first=False)
            assert said == NOTHING, start


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["silence", "noise", "quiet noise", "tone", "two tones", "click"]),
    level=st.integers(200, 32_767),
)
def test_silence_noise_and_tones_are_not_said_to_have_another_rate(
    seed: int, kind: str, level: int
) -> None:
    random = np.random.default_rng(seed)
    time_s = np.arange(4_096) / 16_000
    match kind:
        case "silence":
            samples = np.zeros(4_096)
        case "noise":
            samples = random.uniform(-level, level, 4_096)
        case "quiet noise":
            samples = random.normal(0, 3, 4_096)
        case "tone":
            samples = level * np.sin(2 * np.pi * random.uniform(50, 7_900) * time_s)
        case "two tones":
            tones = random.uniform(50, 7_900, 2)
            samples = level / 2 * np.sin(2 * np.pi * np.outer(tones, time_s)).sum(axis=0)
        case _:
            samples = np.where(np.arange(4_096) == random.integers(4_096), level, 0)
    assert WRONG_RATE not in look_at(samples.astype(INT16).tobytes(), first=False)
