"""The header of a WAV file that comes as a stream, whose length need not be known yet."""

from __future__ import annotations

import struct
from typing import Final

from gateway.protocols.audio import AudioFormat, Encoding, checked_format
from gateway.protocols.base import ProtocolError

MAX_HEADER_BYTES: Final = 16 * 1024
_PCM, _ALAW, _MULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE
_ENCODINGS: Final = {
    (_PCM, 8): Encoding.PCM8,
    (_PCM, 16): Encoding.PCM16,
    (_PCM, 24): Encoding.PCM24,
    (_PCM, 32): Encoding.PCM32,
    (_ALAW, 8): Encoding.ALAW,
    (_MULAW, 8): Encoding.MULAW,
}


def read_wav_header(data: bytes) -> tuple[AudioFormat, int] | None:
    """The format, and where the samples begin; None while more is needed.

    Raises:
        ProtocolError: this is no WAV file, or of a kind that cannot be used.
    """
    if not (b"RIFF".startswith(data[:4]) and b"WAVE".startswith(data[8:12])):
        raise ProtocolError("the audio has no header that is known here (WAV is)")
    at = 12
    audio_format: AudioFormat | None = None
    while len(data) >= at + 8:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if name == b"data":
            if audio_format is None:
                raise ProtocolError("the WAV file's samples come before their format")
            return audio_format, at
        if len(data) < at + size:
            return None
        if name == b"fmt ":
            audio_format = _format(data[at : at + size])
        at += size + size % 2
    return None


def _format(chunk: bytes) -> AudioFormat:
    if len(chunk) < 16:
        raise ProtocolError("the WAV file's format is too short")
    code, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == _EXTENSIBLE and len(chunk) >= 26:
        (code,) = struct.unpack_from("<H", chunk, 24)
    encoding = _ENCODINGS.get((code, bits))
    if encoding is None:
        raise ProtocolError(f"a WAV file of format {code} with {bits} bits cannot be used")
    return checked_format(encoding, rate_hz, channels)
