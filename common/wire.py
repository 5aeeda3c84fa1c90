"""The client's side of the wire: one binary WebSocket message is one frame.

Layout, compatible with RealtimeSTT's ``stt-server``::

    [u32 little-endian: metadata length][metadata: UTF-8 JSON object][PCM: int16 LE mono]
"""

from __future__ import annotations

import enum
import re
import struct
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from .errors import MalformedFrameError, MalformedReason

LENGTH_PREFIX: Final = struct.Struct("<I")
MAX_METADATA_BYTES: Final = 16 * 1024
MIN_SAMPLE_RATE_HZ: Final = 4_000
MAX_SAMPLE_RATE_HZ: Final = 192_000
BYTES_PER_SAMPLE: Final = 2

Parameter = None | bool | int | float | str | list[Any]
"""Values of a recorder's parameters, as JSON and msgpack both carry them."""


# Bounds that keep every number within what an envelope can carry; msgspec knows int64 bounds only.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
ChecksumNumber = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
ChecksumText = Annotated[str, msgspec.Meta(max_length=128)]


class Mark(enum.StrEnum):
    """How a client bounds an utterance by hand, with a frame of its stream."""

    NONE = ""
    HOLD = "hold"
    """The frame belongs to an utterance that no silence ends; begins one where none runs."""
    END = "end"
    """The utterance ends after this frame; answered by exactly one final result."""
    DISCARD = "discard"
    """As ``END``, but what was recorded is thrown away: the result has no text."""


class Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A frame's JSON header. Unknown fields are ignored; field names are camelCase on the wire.

    Attributes:
        sample_rate: Hz; required by every client.
        data_length: number of int16 samples that the client sent.
        checksum: additive sum (any representative modulo 2**32), an unsigned integer for
            ``crc32c``, or a hexadecimal string for the longer digests.
        checksum_algorithm: a name in :data:`common.integrity.ALGORITHMS`; absent means additive.
        audio_sequence: the client's own frame counter, from 0.
        timestamp: the client's clock, ms since 1970.
        utterance: bounds an utterance by hand, see :class:`Mark`.
        utterance_number: the client's number of an ``end`` or ``discard``, from 1, growing.
        server_sent_to_stt: ``False`` asks not to verify; anything else (stock clients put a time
            stamp in nanoseconds here) changes nothing.
    """

    sample_rate: float | None = None
    data_length: Count | None = None
    checksum: ChecksumNumber | ChecksumText | None = None
    checksum_algorithm: ChecksumText | None = None
    audio_sequence: Count | None = None
    timestamp: int | float | None = None
    utterance: Mark | None = None
    utterance_number: Count | None = None
    server_sent_to_stt: bool | int | float | str | None = msgspec.field(
        name="server_sent_to_stt", default=None
    )


class ParsedFrame(NamedTuple):
    """A message taken apart; ``pcm`` still points into the message."""

    metadata: Metadata
    sample_rate_hz: int
    pcm: memoryview


_decode_metadata = msgspec.json.Decoder(Metadata).decode


def parse_message(message: bytes | memoryview) -> ParsedFrame:
    """Take a client's binary message apart without copying its audio.

    The PCM may have an odd number of bytes: that is for the integrity check to report.

    Raises:
        MalformedFrameError: the metadata cannot be read, or its sample rate is unusable.
    """
    view = memoryview(message)
    total = view.nbytes
    if total < LENGTH_PREFIX.size:
        raise MalformedFrameError(
            MalformedReason.TOO_SHORT,
            f"message of {total} bytes is shorter than the 4-byte metadata length",
        )
    (length,) = LENGTH_PREFIX.unpack_from(view)
    if length > total - LENGTH_PREFIX.size:
        raise MalformedFrameError(
            MalformedReason.HEADER_OVERRUN,
            f"metadata length {length} exceeds the {total - LENGTH_PREFIX.size} bytes that follow",
        )
    if length > MAX_METADATA_BYTES:
        raise MalformedFrameError(
            MalformedReason.HEADER_TOO_LARGE,
            f"metadata of {length} bytes is over the limit of {MAX_METADATA_BYTES}",
        )
    start = LENGTH_PREFIX.size + length
    metadata = parse_metadata(view[LENGTH_PREFIX.size : start])
    rate = metadata.sample_rate
    if rate is None or not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ or rate % 1:
        raise _unusable_sample_rate(rate)
    return ParsedFrame(metadata, int(rate), view[start:])


def parse_metadata(raw: bytes | memoryview) -> Metadata:
    """Decode a frame's JSON header.

    Raises:
        MalformedFrameError: not UTF-8, not JSON, not an object, or a field of the wrong type.
    """
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedFrameError(
            MalformedReason.NOT_UTF8, f"metadata is not UTF-8: {error.reason} at byte {error.start}"
        ) from None
    try:
        return _decode_metadata(text)
    except msgspec.ValidationError as error:
        whole_is_wrong = str(error).startswith("Expected `object`")
        reason = MalformedReason.NOT_AN_OBJECT if whole_is_wrong else MalformedReason.WRONG_TYPE
        raise MalformedFrameError(reason, f"metadata is not as expected: {error}") from None
    except msgspec.DecodeError as error:
        raise MalformedFrameError(
            MalformedReason.NOT_JSON, f"metadata is not JSON: {error}"
        ) from None
    except RecursionError:
        raise MalformedFrameError(
            MalformedReason.NOT_JSON, "metadata is nested too deeply"
        ) from None


def _unusable_sample_rate(rate: float | None) -> MalformedFrameError:
    if rate is None:
        return MalformedFrameError(
            MalformedReason.MISSING_SAMPLE_RATE, "metadata has no sampleRate"
        )
    return MalformedFrameError(
        MalformedReason.ABSURD_SAMPLE_RATE,
        f"sampleRate {rate:g} is not a whole number of Hz from "
        f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}",
    )


def metadata_text(message: bytes | memoryview, limit: int = 300) -> str:
    """The JSON header as received, shortened to ``limit`` characters, for a log line."""
    view = memoryview(message)
    if view.nbytes < LENGTH_PREFIX.size:
        return "<none>"
    (length,) = LENGTH_PREFIX.unpack_from(view)
    raw = bytes(view[LENGTH_PREFIX.size : LENGTH_PREFIX.size + min(length, limit)])
    text = raw.decode("utf-8", errors="backslashreplace")
    return printable(text) + ("…" if length > limit else "")


class FrameLabel(NamedTuple):
    """Which frame of its client a message is."""

    number: int
    resent: bool
    """It was asked for again."""


class _Label(msgspec.Struct, frozen=True, rename="camel"):
    audio_sequence: Count
    resend: Count = 0


_decode_label = msgspec.json.Decoder(_Label).decode


def frame_label(message: bytes | memoryview) -> FrameLabel | None:
    """The ``audioSequence`` of a message; None where it has none, or none that can be read."""
    view = memoryview(message)
    if view.nbytes < LENGTH_PREFIX.size:
        return None
    (length,) = LENGTH_PREFIX.unpack_from(view)
    if length > min(view.nbytes - LENGTH_PREFIX.size, MAX_METADATA_BYTES):
        return None
    try:
        label = _decode_label(view[LENGTH_PREFIX.size : LENGTH_PREFIX.size + length])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return FrameLabel(label.audio_sequence, label.resend > 0)


def mark_resent(message: bytes, attempt: int) -> bytes:
    """The same frame, marked as the answer to a request to send it again.

    No checksum covers the mark. A message without metadata stays as it is.
    """
    (length,) = LENGTH_PREFIX.unpack_from(message)
    start, end = LENGTH_PREFIX.size, LENGTH_PREFIX.size + length
    header = message[start:end].rstrip()
    if not header.endswith(b"}") or header == b"{}":
        return message
    marked = header[:-1] + f',"resend":{attempt}}}'.encode()
    return LENGTH_PREFIX.pack(len(marked)) + marked + message[end:]


_MARK: Final = re.compile(rb',"resend":\d+}$')


def without_mark(message: bytes) -> bytes:
    """The message as it was before :func:`mark_resent`."""
    (length,) = LENGTH_PREFIX.unpack_from(message)
    start, end = LENGTH_PREFIX.size, LENGTH_PREFIX.size + length
    header = _MARK.sub(b"}", message[start:end])
    return LENGTH_PREFIX.pack(len(header)) + header + message[end:]


def printable(text: str) -> str:
    """A client's words as a log line may repeat them: they stay on their line and in its colour."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def build_message(metadata: Metadata, pcm: bytes | memoryview) -> bytes:
    """Frame ``pcm`` (int16 LE mono) for sending; the inverse of :func:`parse_message`."""
    header = msgspec.json.encode(metadata)
    return b"".join((LENGTH_PREFIX.pack(len(header)), header, pcm))
