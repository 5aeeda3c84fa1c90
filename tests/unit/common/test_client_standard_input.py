from __future__ import annotations

import io
import wave

import pytest

from common.client.audio import AudioFileError
from common.client.standard_input import MAX_HEADER_BYTES, Layout, layout_of

PCM = bytes(range(64))


def wav(*, width: int = 2, channels: int = 1, rate_hz: int = 8_000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, width, rate_hz, 0, "NONE", ""))
        file.writeframes(PCM)
    return out.getvalue()


def test_what_bears_no_header_is_raw_at_the_rate_that_is_given() -> None:
    layout = layout_of(PCM, 44_100)
    assert layout is not None
    assert layout[:3] == (44_100, 1, 0)
    assert layout.most_bytes > 1 << 60


def test_a_wav_header_is_used_and_is_no_audio() -> None:
    assert layout_of(wav(channels=2), 16_000) == Layout(8_000, 2, 44, len(PCM))


def test_what_programs_put_before_the_samples_is_no_audio_either() -> None:
    plain = wav()
    more = b"LIST" + (26).to_bytes(4, "little") + bytes(26)
    layout = layout_of(plain[:36] + more + plain[36:], 16_000)
    assert layout is not None
    assert layout.header_bytes == 44 + len(more)


def test_a_header_that_is_not_all_there_yet_is_waited_for() -> None:
    for cut in range(12, 44):
        assert layout_of(wav()[:cut], 16_000) is None
    assert MAX_HEADER_BYTES > 44


def test_a_writer_to_a_pipe_does_not_know_how_many_samples_come() -> None:
    header = bytearray(wav()[:44])
    header[40:44] = b"\xff" * 4
    layout = layout_of(bytes(header), 16_000)
    assert layout is not None
    assert layout.most_bytes >= 0xFFFF_FFFE


@pytest.mark.parametrize(
    "head, complaint",
    [
        (wav(width=3, channels=1), "24-bit"),
        (b"fLaC" + PCM, "FLAC"),
        (b"OggS" + PCM, "Ogg"),
        (wav(rate_hz=384_000), "384000 samples a second"),
        (
            wav()[:20] + b"\x55\x00" + wav()[22:],
            r"cannot be read from a pipe \(unknown format.*file's name",
        ),
    ],
)
def test_audio_that_a_pipe_cannot_bring_is_named(head: bytes, complaint: str) -> None:
    with pytest.raises(AudioFileError, match=complaint):
        layout_of(head, 16_000)
