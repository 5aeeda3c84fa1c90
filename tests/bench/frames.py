"""Frames for benchmarks: 4096 seeded samples each, as the browser client sends them."""

from __future__ import annotations

import numpy as np

from common.integrity import Algorithm, digest
from common.wire import Metadata, build_message

SAMPLES = 4096
RATE_HZ = 16_000


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
    signed = Metadata(
        sample_rate=metadata.sample_rate,
        data_length=metadata.data_length,
        checksum=checksum,
        checksum_algorithm=metadata.checksum_algorithm,
        audio_sequence=metadata.audio_sequence,
        timestamp=metadata.timestamp,
        server_sent_to_stt=True,
    )
    return build_message(signed, audio)


KEY = b"a key for benchmarks"
