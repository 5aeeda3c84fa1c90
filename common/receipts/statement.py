"""Receipts: what a server states, over its signature, about a stream and its transcript.

A receipt is an in-toto Statement v1 in a DSSE envelope (``signing.py``). Its subjects are

- ``audio-received``: SHA-256 of the int16 LE samples of all frames as they arrived, one after the
  other (after healing, where a frame was sent again);
- ``audio-heard``: the same of what the recogniser was given for them, before any resampling;
- ``transcript``: SHA-256 of the sentences in UTF-8, each with a line feed after it.

Its predicate, of type :data:`PREDICATE_TYPE`, is :class:`Predicate`: two Merkle trees
(``merkle.py``) stand in it as number of leaves and root. The leaves of ``frames`` are
:class:`FrameRecord`, 50 bytes each; those of ``sentences`` are the JSON texts that the client got
with each sentence (:class:`SentenceRecord`), byte for byte, each with a random ``salt``, so that
one sentence can be shown to somebody without giving away the others. The leaves are not part of
the statement: the client keeps them, in a :class:`Bundle`.
"""

from __future__ import annotations

import base64
import binascii
import enum
import struct
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:verified-stt:receipt:v1"
"""Fields may be added under this name; if the meaning of one changes, the number does."""
AUDIO_RECEIVED: Final = "audio-received"
AUDIO_HEARD: Final = "audio-heard"
TRANSCRIPT: Final = "transcript"


class Provenance(msgspec.Struct, frozen=True):
    """Which audio a sentence was heard in, and how it was judged.

    Samples are at 16 kHz, as the recogniser counts them, from the start of the session.

    Attributes:
        start_sample, end_sample, start_ms, end_ms: where the sentence lies.
        first_frame, last_frame: the frames that it lies in, both included; -1: no longer known.
        verified, unverified, healed, corrupt: its samples that were heard as received, by how
            their frame was judged; ``healed`` arrived as sent when they were asked for again.
        silence: samples of corrupt frames in whose place silence was heard.
        missing: samples of corrupt frames in whose place nothing was heard.
        lost_frames: frames that never came.
        algorithm: of the checksums, in the order of their appearance.
        replayed: whether some of it went to a second recorder, after the first one's process died.
    """

    start_sample: int
    end_sample: int
    start_ms: int
    end_ms: int
    first_frame: int
    last_frame: int
    verified: int
    unverified: int
    healed: int
    corrupt: int
    silence: int
    missing: int
    lost_frames: int
    algorithm: str
    engine: str
    model: str
    replayed: bool


class ReceiptError(ValueError):
    """A file or message is no receipt, or not one that can be read."""


class Judgement(enum.IntEnum):
    """How a frame was judged."""

    OK = 0
    UNVERIFIED = 1
    CORRUPT = 2
    HEALED = 3
    """It arrived corrupt or not at all, and as sent when it was asked for again."""
    MISSING = 4
    """It never came: its record has no samples."""


class Heard(enum.IntEnum):
    """What the recogniser was given in place of a frame."""

    AS_RECEIVED = 0
    SILENCE = 1
    """As many zeros as the frame has samples."""
    NOTHING = 2


_RECORD: Final = struct.Struct(">QBBII32s")
RECORD_BYTES: Final = _RECORD.size


class FrameRecord(NamedTuple):
    """One frame, as a leaf of the tree: 50 bytes, big-endian, in the order of the fields.

    Attributes:
        number: of the frame in its session, from 0 (8 bytes).
        judgement, heard: one byte each.
        sample_rate_hz, samples: of the frame as received (4 bytes each); 0 if unreadable.
        pcm_sha256: of its int16 LE samples (32 bytes).
    """

    number: int
    judgement: Judgement
    heard: Heard
    sample_rate_hz: int
    samples: int
    pcm_sha256: bytes

    def pack(self) -> bytes:
        """The leaf."""
        return _RECORD.pack(*self)

    @classmethod
    def unpack(cls, leaf: bytes) -> FrameRecord:
        """The record of a leaf.

        Raises:
            ReceiptError: it has another length, or says what no frame can be.
        """
        try:
            number, judgement, heard, rate_hz, samples, digest = _RECORD.unpack(leaf)
            return cls(number, Judgement(judgement), Heard(heard), rate_hz, samples, digest)
        except (struct.error, ValueError) as error:
            raise ReceiptError(f"not a record of a frame: {error}") from None


class SentenceRecord(msgspec.Struct, frozen=True):
    """One final result. Its JSON text, as the server wrote it, is a leaf of the tree.

    Attributes:
        number: of the sentence in its session, from 0.
        salt: 32 random hexadecimal digits: without them, who has the tree's hashes cannot try
            texts until one fits.
    """

    number: int
    text: str
    provenance: Provenance
    salt: str


class Tree(msgspec.Struct, frozen=True):
    """A Merkle tree: how many leaves, and the hexadecimal root over them."""

    count: int
    root: str


class Handling(msgspec.Struct, frozen=True, rename="camel"):
    """What the server was told to do with frames."""

    verify: bool
    on_corruption: str
    reject: bool
    tolerated: int


class Predicate(msgspec.Struct, frozen=True, rename="camel"):
    """What is said about the subjects.

    Attributes:
        session: SHA-256 of the session's id (16 bytes), which is itself a secret of its client.
        started, issued: RFC 3339, UTC, by the gateway's clock.
        start_sample, skipped_samples: a session that goes on with the stream of another, after the
            death of a gateway, begins at this 16 kHz sample of the stream, and hears nothing of
            so many 16 kHz samples of its first frame, which that one had. Otherwise 0.
        final: all of the stream was transcribed; otherwise this is how far it had come.
        rejected: why the server rejected the client; "" if it did not.
        judged: number of frames by :class:`Judgement`, in lower case.
        engine, model: that transcribed last.
        replays: how often audio was sent again to another transcriber.
    """

    session: str
    started: str
    issued: str
    start_sample: int
    skipped_samples: int
    final: bool
    rejected: str
    version: str
    handling: Handling
    frames: Tree
    sentences: Tree
    judged: dict[str, int]
    received_samples: int
    heard_samples: int
    engine: str
    model: str
    replays: int


class Subject(msgspec.Struct, frozen=True):
    """What a statement is about: a name and digests by algorithm."""

    name: str
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True, rename="camel"):
    """An in-toto Statement, version 1."""

    subject: list[Subject]
    predicate_type: str
    predicate: Predicate
    type: str = msgspec.field(name="_type", default=STATEMENT_TYPE)

    def digest_of(self, name: str) -> str:
        """SHA-256 of the subject of that name; "" if there is none."""
        return next((s.digest.get("sha256", "") for s in self.subject if s.name == name), "")


def statement(digests: dict[str, bytes], predicate: Predicate) -> Statement:
    """A statement on subjects with these SHA-256 digests, by name."""
    subjects = [Subject(name, {"sha256": digest.hex()}) for name, digest in digests.items()]
    return Statement(subjects, PREDICATE_TYPE, predicate)


def parse_statement(payload: bytes) -> Statement:
    """Read the payload of an envelope.

    Raises:
        ReceiptError: it is not a receipt of this version.
    """
    try:
        found = msgspec.json.decode(payload, type=Statement)
    except (ValueError, RecursionError) as error:  # of text that is no UTF-8, too
        raise ReceiptError(f"not a receipt's statement: {error}") from None
    if found.type != STATEMENT_TYPE or found.predicate_type != PREDICATE_TYPE:
        raise ReceiptError(
            f"a statement of type {found.type!r} with predicate {found.predicate_type!r}, "
            f"expected {STATEMENT_TYPE!r} with {PREDICATE_TYPE!r}"
        )
    return found


class Signature(msgspec.Struct, frozen=True):
    """One signature of an envelope, in base64, by the key of that id."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A DSSE envelope: a payload in base64, what it is, and who signed it."""

    payload: str
    payload_type: str
    signatures: list[Signature]


class Proof(msgspec.Struct, frozen=True):
    """One leaf with the hashes that lead from it to the root in the statement.

    Attributes:
        kind: ``frame`` or ``sentence``.
        leaf: base64 of a :class:`FrameRecord`, or the JSON text of a :class:`SentenceRecord`.
        path: hexadecimal hashes, that beside the leaf first.
    """

    kind: str
    index: int
    leaf: str
    path: list[str]

    @property
    def leaf_bytes(self) -> bytes:
        """The leaf.

        Raises:
            ReceiptError: a frame's is not base64.
        """
        return from_base64(self.leaf) if self.kind == "frame" else self.leaf.encode()

    @property
    def hashes(self) -> list[bytes]:
        """The path.

        Raises:
            ReceiptError: it is not hexadecimal.
        """
        try:
            return [bytes.fromhex(one) for one in self.path]
        except ValueError as error:
            raise ReceiptError(f"not a path of hashes: {error}") from None


class Bundle(msgspec.Struct, frozen=True, omit_defaults=True):
    """A receipt file: the envelope, with the leaves that its owner kept, or one of them proven.

    Attributes:
        frames: the leaves of all frames, one after the other, in base64.
        sentences: the leaves of all sentences.
    """

    receipt: Envelope
    frames: str = ""
    sentences: list[str] = []
    proof: Proof | None = None

    @classmethod
    def of(cls, receipt: Envelope, frames: bytes, sentences: list[str]) -> Bundle:
        """The file with an envelope and leaves; no bytes of frames where not all are known."""
        return cls(receipt, base64.b64encode(frames).decode("ascii"), sentences)

    def frame_leaves(self) -> list[bytes]:
        """The leaves of the frames.

        Raises:
            ReceiptError: they cannot be read.
        """
        raw = from_base64(self.frames)
        starts = range(0, records_in(raw) * RECORD_BYTES, RECORD_BYTES)
        return [raw[start : start + RECORD_BYTES] for start in starts]

    def sentence_leaves(self) -> list[bytes]:
        """The leaves of the sentences."""
        return [text.encode() for text in self.sentences]


def parse_bundle(raw: bytes) -> Bundle:
    """Read a receipt file: a :class:`Bundle`, or an envelope alone.

    Raises:
        ReceiptError: it is neither.
    """
    try:
        found: Any = msgspec.json.decode(raw)
        if isinstance(found, dict) and "payload" in found:
            return Bundle(msgspec.convert(found, Envelope))
        return msgspec.convert(found, Bundle)
    except (ValueError, RecursionError) as error:
        raise ReceiptError(f"not a receipt: {error}") from None


def records_in(frames: bytes) -> int:
    """How many records of frames there are in so many bytes of them.

    Raises:
        ReceiptError: no whole number.
    """
    count, rest = divmod(len(frames), RECORD_BYTES)
    if rest:
        raise ReceiptError(f"{len(frames)} bytes are not a whole number of records of frames")
    return count


def parse_sentence(leaf: bytes) -> SentenceRecord:
    """Read the leaf of a sentence.

    Raises:
        ReceiptError: it is none.
    """
    try:
        return msgspec.json.decode(leaf, type=SentenceRecord)
    except (ValueError, RecursionError) as error:
        raise ReceiptError(f"not a record of a sentence: {error}") from None


def from_base64(text: str) -> bytes:
    """Decode base64, strictly.

    Raises:
        ReceiptError: it is none.
    """
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ReceiptError(f"not base64: {error}") from None


def rfc3339(time_ns: int) -> str:
    """A moment in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(time_ns / 1e9, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
