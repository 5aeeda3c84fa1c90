"""Audio at any rate becomes audio at 16 kHz."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from transcriber.resample import Resampler, history_samples, needed_from


def speechlike(samples: int, seed: int = 1) -> bytes:
    rng = np.random.default_rng(seed)
    return np.clip(rng.standard_normal(samples) * 5000, -32768, 32767).astype("<i2").tobytes()


def resample(pcm: bytes, rate_hz: int, sizes: list[int]) -> bytes:
    resampler = Resampler()
    out, offset, turn = b"", 0, 0
    while offset < len(pcm):
        size = 2 * sizes[turn % len(sizes)]
        out += resampler.process(pcm[offset : offset + size], rate_hz)
        offset, turn = offset + size, turn + 1
    return out + resampler.flush()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([8000, 22_050, 44_100, 48_000]), st.lists(st.integers(1, 5000), min_size=1))
def test_frame_boundaries_leave_no_trace(rate_hz: int, sizes: list[int]) -> None:
    pcm = speechlike(2 * rate_hz // 5)
    assert resample(pcm, rate_hz, sizes) == resample(pcm, rate_hz, [10**6])


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 44_099, 44_100, 48_000, 192_000])
def test_result_is_that_of_one_pass(rate_hz: int) -> None:
    """Also where one second's filter hands over to the next."""
    pcm = speechlike(5 * rate_hz // 2)
    whole = soxr.resample(np.frombuffer(pcm, "<i2").astype(np.float32), rate_hz, 16_000)
    ours = np.frombuffer(resample(pcm, rate_hz, [1024]), "<i2")
    assert abs(len(ours) - 40_000) <= 1
    shared = min(len(ours), len(whole))
    expected = np.clip(whole[:shared], -32768, 32767)
    assert np.abs(ours[:shared] - expected).max() <= 1


@pytest.mark.parametrize("rate_hz", [4_000, 11_025, 44_099, 44_100, 192_000])
def test_what_a_replay_needs_is_a_whole_number_of_samples_at_both_rates(rate_hz: int) -> None:
    history = history_samples(rate_hz)
    assert history >= 0.1 * rate_hz
    assert history * 16_000 % rate_hz == 0
    assert needed_from(15_999, rate_hz) == 0
    assert needed_from(32_000, rate_hz) == needed_from(47_999, rate_hz) == 2 * rate_hz - history


def test_16_khz_passes_through_untouched() -> None:
    pcm = speechlike(100)
    assert Resampler().process(pcm, 16_000) is pcm


def test_a_change_of_rate_loses_nothing() -> None:
    resampler = Resampler()
    out = bytes(resampler.process(speechlike(48_000), 48_000))
    out += resampler.process(speechlike(44_100), 44_100)
    out += resampler.process(speechlike(16_000), 16_000)
    assert abs(len(out) // 2 - 3 * 16_000) <= 2
    assert out.endswith(speechlike(16_000))
