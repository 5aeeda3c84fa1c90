"""Frames for benchmarks: 4096 seeded samples each, as the browser client sends them."""

from __future__ import annotations

import functools
from typing import Final

import msgspec
import numpy as np

from common.integrity import Algorithm, additive_checksum, digest
from common.wire import LENGTH_PREFIX, Metadata, build_message

SAMPLES: Final = 4096
RATE_HZ: Final = 16_000
KEY: Final = b"a key for benchmarks"
PREPARED: Final = 64


def pcm(number: int, samples: int = SAMPLES) -> bytes:
    """Seeded noise about as loud as speech, int16 LE."""
    generator = np.random.default_rng(number)
    return generator.normal(0, 3_000, samples).astype("<i2").tobytes()


def message(
    number: int, algorithm: Algorithm = Algorithm.ADDITIVE, samples: int = SAMPLES
) -> bytes:
    """A whole client message with a checksum."""
    audio = pcm(number, samples)
    metadata = Metadata(
        sample_rate=RATE_HZ,
        data_length=samples,
        checksum_algorithm=None if algorithm is Algorithm.ADDITIVE else algorithm,
        audio_sequence=number,
        timestamp=1_640_995_200_000,
        server_sent_to_stt=True,
    )
    checksum = digest(algorithm, metadata, audio, KEY)
    return build_message(msgspec.structs.replace(metadata, checksum=checksum), audio)


def streamed(number: int) -> bytes:
    """Frame ``number`` of a stream, with what any of the servers asks for; the audio repeats."""
    checksum, audio = _prepared()[number % PREPARED]
    return _framed(number, audio, checksum)


def streamed_pcm(number: int, audio: bytes) -> bytes:
    """Frame ``number`` of a stream, with audio of its own."""
    return _framed(number, audio, additive_checksum(audio))


def _framed(number: int, audio: bytes, checksum: int) -> bytes:
    samples = len(audio) // 2
    header = (
        f'{{"sampleRate":{RATE_HZ},"dataLength":{samples},"checksum":{checksum},'
        f'"audioSequence":{number},"timestamp":1640995200000,"server_sent_to_stt":true,'
        f'"channels":1,"format":"pcm_s16le","frames":{samples}}}'
    ).encode()
    return b"".join((LENGTH_PREFIX.pack(len(header)), header, audio))


@functools.cache
def _prepared() -> list[tuple[int, bytes]]:
    """Audio and its checksum, made once."""
    return [(additive_checksum(audio), audio) for audio in map(pcm, range(PREPARED))]
