"""G.711 for the tests, encoded by the standard library's own (gone after Python 3.12)."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop


def to_mulaw(pcm16: bytes) -> bytes:
    """µ-law of int16 PCM."""
    return audioop.lin2ulaw(pcm16, 2)


def to_alaw(pcm16: bytes) -> bytes:
    """A-law of int16 PCM."""
    return audioop.lin2alaw(pcm16, 2)


def from_mulaw(data: bytes) -> bytes:
    """int16 PCM of µ-law."""
    return audioop.ulaw2lin(data, 2)


def from_alaw(data: bytes) -> bytes:
    """int16 PCM of A-law."""
    return audioop.alaw2lin(data, 2)
