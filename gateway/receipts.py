"""What a gateway remembers of a session in order to sign a receipt: O(log n) of its frames.

Fed each frame as it is judged, in order, and each sentence as it is delivered, once, whatever
transcriber it came from: a replay changes nothing. See :mod:`common.receipts.statement`.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final, NamedTuple

import msgspec

from common.envelope import Code, Commit
from common.events import Records
from common.receipts.merkle import GrowingTree
from common.receipts.statement import (
    AUDIO_HEARD,
    AUDIO_RECEIVED,
    TRANSCRIPT,
    FrameRecord,
    Handling,
    Heard,
    Judgement,
    Predicate,
    Provenance,
    SentenceRecord,
    Statement,
    Tree,
    rfc3339,
    statement,
)
from common.wire import BYTES_PER_SAMPLE, LENGTH_PREFIX
from gateway.window import START

RECORDS_PER_EVENT: Final = 256
"""Records of frames go to the client so many at a time: 12.5 KiB."""
SALT_BYTES: Final = 16


class Circumstances(NamedTuple):
    """What a statement says beside what was heard."""

    final: bool
    rejected: str
    version: str
    handling: Handling
    engine: str
    model: str
    replays: int


def judgement_of(code: int, *, healed: bool, missing: bool) -> Judgement:
    """How a frame with that verdict is entered."""
    if missing:
        return Judgement.MISSING
    if code == Code.CORRUPT:
        return Judgement.CORRUPT
    if healed:
        return Judgement.HEALED
    return Judgement.OK if code == Code.OK else Judgement.UNVERIFIED


def samples_of(message: bytes, samples: int) -> memoryview:
    """The ``samples`` whole int16 samples of a client's message that could be read."""
    if not samples:
        return memoryview(b"")
    (length,) = LENGTH_PREFIX.unpack_from(message)
    start = LENGTH_PREFIX.size + length
    return memoryview(message)[start : start + samples * BYTES_PER_SAMPLE]


class ReceiptBook:
    """One session's entries.

    Args:
        session: its id, of which the receipt shows the SHA-256.
        started_ns: when it began, since 1970.
        start: where in its first frame, if it goes on with the stream of another.
    """

    def __init__(self, session: bytes, started_ns: int, start: Commit = START) -> None:
        self._start = start
        self._session = hashlib.sha256(session).hexdigest()
        self._started_ns = started_ns
        self._frames = GrowingTree()
        self._sentences = GrowingTree()
        self._received = hashlib.sha256()
        # The same as what was received until something is replaced: one hash instead of two.
        self._heard: hashlib._Hash | None = None
        self._transcript = hashlib.sha256()
        self._judged = [0] * len(Judgement)
        self._received_samples = 0
        self._heard_samples = 0
        self._records: list[bytes] = []
        self._records_from = 0

    def frame(self, record: FrameRecord, pcm: memoryview) -> Records | None:
        """Enter the next frame; what its client is to be sent of the entries, if it is time.

        Args:
            pcm: its samples as received, of which ``record.pcm_sha256`` is the digest.
        """
        leaf = record.pack()
        self._frames.append(leaf)
        self._records.append(leaf)
        self._judged[record.judgement] += 1
        if record.heard is not Heard.AS_RECEIVED and self._heard is None:
            self._heard = self._received.copy()
        self._received.update(pcm)
        self._received_samples += record.samples
        if record.heard is not Heard.NOTHING:
            self._heard_samples += record.samples
            if self._heard is not None:
                silent = record.heard is Heard.SILENCE
                self._heard.update(bytes(len(pcm)) if silent else pcm)
        return self.records() if len(self._records) >= RECORDS_PER_EVENT else None

    def records(self) -> Records | None:
        """The entries that the client was not sent yet."""
        if not self._records:
            return None
        event = Records(
            self._records_from, base64.b64encode(b"".join(self._records)).decode("ascii")
        )
        self._records_from += len(self._records)
        self._records.clear()
        return event

    def sentence(self, text: str, provenance: Provenance) -> str:
        """Enter the next sentence; the JSON text that proves it, for the client."""
        record = SentenceRecord(
            self._sentences.size, text, provenance, secrets.token_hex(SALT_BYTES)
        )
        leaf = msgspec.json.encode(record)
        self._sentences.append(leaf)
        self._transcript.update(text.encode() + b"\n")
        return leaf.decode()

    def statement(self, now_ns: int, about: Circumstances) -> Statement:
        """All that was entered so far, to be signed."""
        heard = self._heard or self._received
        digests = {
            AUDIO_RECEIVED: self._received.digest(),
            AUDIO_HEARD: heard.digest(),
            TRANSCRIPT: self._transcript.digest(),
        }
        judged = {one.name.lower(): self._judged[one] for one in Judgement}
        predicate = Predicate(
            session=self._session,
            started=rfc3339(self._started_ns),
            start_sample=self._start.sample,
            skipped_samples=self._start.skip_samples,
            issued=rfc3339(now_ns),
            final=about.final,
            rejected=about.rejected,
            version=about.version,
            handling=about.handling,
            frames=Tree(self._frames.size, self._frames.root.hex()),
            sentences=Tree(self._sentences.size, self._sentences.root.hex()),
            judged=judged,
            received_samples=self._received_samples,
            heard_samples=self._heard_samples,
            engine=about.engine,
            model=about.model,
            replays=about.replays,
        )
        return statement(digests, predicate)
