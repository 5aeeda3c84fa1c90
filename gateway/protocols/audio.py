"""From a client's audio, in any form that its protocol allows, to frames of int16 mono PCM.

The frames are those of ``common/wire.py``, without a checksum: these protocols have none.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.wire import (
    MAX_SAMPLE_RATE_HZ,
    MIN_SAMPLE_RATE_HZ,
    Mark,
    Metadata,
    build_message,
)
from gateway.protocols.base import ProtocolError

FRAME_MS: Final = 250
"""Longest frame: audio that comes in one large piece is cut, so that no frame holds others up."""
LEAST_FRAME_MS: Final = 20
"""Shorter pieces are joined, so that a client which sends sample by sample costs no frame each."""
MAX_CHANNELS: Final = 8

Samples = npt.NDArray[np.int16]


class Encoding(enum.StrEnum):
    """How samples are written."""

    PCM8 = "pcm8"
    """Unsigned, as in WAV files."""
    PCM16 = "pcm16"
    PCM24 = "pcm24"
    PCM32 = "pcm32"
    MULAW = "mulaw"
    ALAW = "alaw"


_BYTES: Final = {
    Encoding.PCM8: 1,
    Encoding.PCM16: 2,
    Encoding.PCM24: 3,
    Encoding.PCM32: 4,
    Encoding.MULAW: 1,
    Encoding.ALAW: 1,
}


class AudioFormat(NamedTuple):
    """What the client's bytes mean; all little-endian, channels interleaved."""

    encoding: Encoding
    rate_hz: int
    channels: int = 1

    @property
    def block_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _BYTES[self.encoding] * self.channels


def checked_format(encoding: Encoding, rate_hz: object, channels: object = 1) -> AudioFormat:
    """A format that can be used.

    Raises:
        ProtocolError: rate or number of channels is none, or out of range.
    """
    if type(rate_hz) is not int or not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise ProtocolError(
            f"sample rate must be a whole number of Hz from {MIN_SAMPLE_RATE_HZ} to "
            f"{MAX_SAMPLE_RATE_HZ}"
        )
    if type(channels) is not int or not 1 <= channels <= MAX_CHANNELS:
        raise ProtocolError(f"channels must be from 1 to {MAX_CHANNELS}")
    return AudioFormat(encoding, rate_hz, channels)


class FrameMaker:
    """Makes one session's frames out of pieces of any length.

    A piece may end in the middle of a sample; the rest is joined with the next. Channels are mixed.

    Attributes:
        position_ms: all audio taken in so far.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.position_ms = 0.0
        self._format = audio_format
        self._rest = b""
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        self._held = False

    @property
    def format(self) -> AudioFormat:
        """Of what comes next."""
        return self._format

    def change(self, audio_format: AudioFormat) -> list[bytes]:
        """Audio of another format follows; the frames of what waited."""
        if audio_format == self._format:
            return []
        frames = self.flush()
        self._rest = b""
        self._format = audio_format
        return frames

    def take(self, data: bytes | memoryview, *, held: bool = False) -> list[bytes]:
        """The frames that are full with ``data``.

        Args:
            held: it belongs to an utterance that only a mark ends.
        """
        frames = [] if held == self._held else self.flush()
        self._held = held
        block = self._format.block_bytes
        data = self._rest + data if self._rest else bytes(data)
        whole = len(data) - len(data) % block
        self._rest = data[whole:]
        if whole:
            samples = _mono16(data[:whole], self._format)
            self.position_ms += len(samples) * 1000 / self._format.rate_hz
            self._waiting.append(samples)
            self._waiting_samples += len(samples)
        if self._waiting_samples * 1000 >= LEAST_FRAME_MS * self._format.rate_hz:
            frames += self.flush()
        return frames

    def flush(self) -> list[bytes]:
        """The frames of what waited to be joined with more."""
        if not self._waiting_samples:
            return []
        samples = np.concatenate(self._waiting)
        self._waiting, self._waiting_samples = [], 0
        longest = max(1, self._format.rate_hz * FRAME_MS // 1000)
        mark = Mark.HOLD if self._held else None
        return [
            self._frame(samples[start : start + longest], mark)
            for start in range(0, len(samples), longest)
        ]

    def mark(self, mark: Mark, number: int, *, is_one_stream: bool = False) -> list[bytes]:
        """The frames of what waited, and one that ends the utterance there.

        Args:
            is_one_stream: what follows goes on with the last sample, if that came in half;
                otherwise the half is dropped.
        """
        if not is_one_stream:
            self._rest = b""
        return [*self.flush(), self._frame(np.zeros(0, np.int16), mark, number)]

    def _frame(self, samples: Samples, mark: Mark | None, number: int | None = None) -> bytes:
        metadata = Metadata(
            sample_rate=self._format.rate_hz, utterance=mark, utterance_number=number
        )
        return build_message(metadata, samples.astype("<i2", copy=False).tobytes())


def _mono16(data: bytes, audio_format: AudioFormat) -> Samples:
    samples = _int16(data, audio_format.encoding)
    if audio_format.channels == 1:
        return samples
    mixed = np.rint(samples.reshape(-1, audio_format.channels).mean(axis=1))
    mono: Samples = mixed.astype(np.int16)
    return mono


def _int16(data: bytes, encoding: Encoding) -> Samples:
    upper: Samples
    match encoding:
        case Encoding.PCM16:
            return np.frombuffer(data, "<i2")
        case Encoding.PCM8:
            return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) * np.int16(256)
        case Encoding.PCM24:
            octets = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return np.frombuffer(octets[:, 1:].tobytes(), "<i2")
        case Encoding.PCM32:
            upper = (np.frombuffer(data, "<i4") >> 16).astype(np.int16)
            return upper
        case Encoding.MULAW:
            return _MULAW[np.frombuffer(data, np.uint8)]
        case Encoding.ALAW:
            return _ALAW[np.frombuffer(data, np.uint8)]


def _mulaw_table() -> Samples:
    """G.711 µ-law: sign, 3 bits of exponent, 4 of mantissa, all inverted; a bias of 33 · 4."""
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> Samples:
    """G.711 A-law: every other bit inverted; the first segment is linear."""
    code = np.arange(256) ^ 0x55
    exponent = (code & 0x70) >> 4
    mantissa = (code & 0x0F) << 4
    steps = np.maximum(exponent - 1, 0)
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << steps)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_MULAW: Final = _mulaw_table()
_ALAW: Final = _alaw_table()
