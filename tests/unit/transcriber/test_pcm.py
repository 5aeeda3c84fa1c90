"""Samples for clients."""

from __future__ import annotations

import numpy as np

from transcriber.pcm import int16_samples


def test_every_sample_survives_the_way_to_the_engine_and_back() -> None:
    samples = np.arange(-32768, 32768, dtype=np.int16)
    assert (int16_samples(samples.astype(np.float32) / 32768.0) == samples).all()


def test_what_is_too_loud_is_clipped() -> None:
    assert int16_samples(np.array([1.5, -1.5], dtype=np.float32)).tolist() == [32767, -32768]
