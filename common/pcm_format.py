"""Audio that arrived as it was sent, but is not what int16 mono samples look like.

Looked at in a session's first frames only: it is a client's mistake from the start, or none.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt

from common.diagnosis import INT16, NOTHING, Diagnosis, Pcm

FRAMES: Final = 4
"""Frames of a session that are looked at."""
LEAST_SAMPLES: Final = 256
HEAD_BYTES: Final = 64
LOUD: Final = 200
"""Below this mean level nothing is said: noise looks like anything."""
LEAST_OF_SPECTRUM: Final = 1_024
CUT: Final = 3 / 8
"""Of the band (3 kHz at a rate of 16 kHz): speech has something above, over a telephone as well."""
EMPTY: Final = 10**-5.5
"""Share of the energy above the cut that is no more than the rounding of samples."""

WAV: Final = "a WAV"
_CONTAINERS: Final = (
    (WAV, re.compile(rb"RIFF....WAVE", re.S)),
    ("an AIFF", re.compile(rb"FORM....AIF[FC]", re.S)),
    ("an Ogg", re.compile(rb"OggS\x00[\x00-\x07]")),
    ("a FLAC", re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")),
    ("an MP3", re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}")),
    ("an MP4", re.compile(rb"\x00\x00\x00[\x10-\x40]ftyp[a-zA-Z0-9]{3}")),
    ("a WebM", re.compile(rb"\x1a\x45\xdf\xa3.{0,40}(?:webm|matroska)", re.S)),
)


def container_of(pcm: Pcm) -> str:
    """The kind of file whose header the samples begin with; "" for none."""
    head = bytes(pcm[:HEAD_BYTES])
    return next((name for name, header in _CONTAINERS if header.match(head)), "")


def look_at(pcm: Pcm, *, first: bool) -> Diagnosis:
    """What is wrong with the form of a frame's audio.

    Args:
        first: whether it is the first of its session, where a file's header would be.
    """
    if first and (name := container_of(pcm)):
        return Diagnosis(f"the audio begins with {name} header: send its samples alone")
    samples = np.frombuffer(pcm, INT16, len(pcm) // 2)
    if samples.size < LEAST_SAMPLES:
        return NOTHING
    if _are_floats(samples):
        return Diagnosis("the samples are 32-bit floats: send int16")
    if np.abs(samples.astype(np.int32)).mean() < LOUD:
        return NOTHING
    if _is_interleaved(samples):
        return Diagnosis(likely="stereo sent as mono: two channels take turns")
    if samples.size >= LEAST_OF_SPECTRUM and _is_stretched(samples):
        return Diagnosis(likely="sampleRate is not that of the audio: its upper band is empty")
    return NOTHING


def _are_floats(samples: npt.NDArray[np.int16]) -> bool:
    """Whether each pair of samples is a float32 of audio.

    Its upper half holds sign and exponent, which in audio lie in two narrow bands of int16, while
    the lower half, the end of the mantissa, takes any value. int16 audio has no such difference
    between its even and odd samples.
    """
    pairs = samples[: samples.size // 2 * 2].reshape(-1, 2)
    floats = pairs.view("<f4").ravel()
    spoken = pairs[floats != 0]
    if len(spoken) < LEAST_SAMPLES // 4:
        return False
    magnitude = spoken[:, 1].astype(np.int32) & 0x7FFF
    in_band = (magnitude >= 0x3000) & (magnitude <= 0x4000)  # 2^-31 to 2
    if not in_band.all() or np.unique(magnitude >> 7).size < 3:
        return False
    low = spoken[:, 0].astype(np.int32)
    return bool((np.abs(low) < 0x3000).mean() > 0.3 and np.unique(low).size >= 16)


def _is_interleaved(samples: npt.NDArray[np.int16]) -> bool:
    """Whether every other sample goes on where the one before the last was, and neighbours do not.

    A tone just below half the sample rate does so too: never certain.
    """
    values = samples.astype(np.int32)
    near = np.abs(values[1:] - values[:-1])
    far = np.abs(values[2:] - values[:-2])
    pairs = values[: values.size // 2 * 2].reshape(-1, 2)
    if (pairs[:, 0] == pairs[:, 1]).all():  # both channels the same, or each sample twice
        return bool((near[1::2] != 0).mean() > 0.5)
    return bool(far.mean() * 3 < near.mean())


def _is_stretched(samples: npt.NDArray[np.int16]) -> bool:
    """Whether there is sound of many frequencies, and none of it is in the upper band.

    So sounds speech of 16 kHz that was made 44.1 or 48 kHz and is said to be 16 kHz still. A low
    instrument through a filter looks like it, too: never certain.
    """
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size))) ** 2
    cut = int(CUT * spectrum.size)
    lower = spectrum[:cut]
    is_rich = (lower > lower.max() * 1e-4).mean() > 0.1  # no tone or hum
    return bool(is_rich and spectrum[cut:].sum() < EMPTY * spectrum.sum())
