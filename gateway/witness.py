"""What a session can say of each sentence, and sign: how its frames were judged and heard."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.envelope import Code, Commit, OnCorruption, Sentence, Verdict
from common.events import Records
from common.receipts.statement import FrameRecord, Handling, Heard, Provenance, Statement
from gateway.provenance import ProvenanceLog
from gateway.receipts import Circumstances, ReceiptBook, judgement_of, samples_of
from gateway.rejection import RejectionPolicy
from gateway.window import START

REMEMBERED_FRAMES: Final = 16_384
"""Judged frames kept for sentences that are not over; the oldest go first."""


class Entered(NamedTuple):
    """A sentence as it was entered.

    Attributes:
        record: the JSON text by which it is proven; "" where no receipt was asked for.
    """

    provenance: Provenance
    record: str


class Witness:
    """One session's.

    Args:
        book: where entries for a receipt go, if the client asked for one.
        start: where in its first frame the session begins, if it goes on with another's stream.
    """

    def __init__(
        self, policy: RejectionPolicy, book: ReceiptBook | None = None, start: Commit = START
    ) -> None:
        self._policy = policy
        self._frames = ProvenanceLog(REMEMBERED_FRAMES, start.sample - start.skip_samples)
        self._book = book
        self._engine = ""
        self._model = ""

    def judged(
        self,
        message: bytes,
        verdict: Verdict,
        *,
        rejects: bool,
        healed: bool = False,
        missing: bool = False,
    ) -> Records | None:
        """Enter the next frame; entries for the client, if it is time to send it some.

        Args:
            healed: it was asked for again before it got this verdict.
            missing: it never came.
            rejects: it is the one after which nothing of the client is heard.
        """
        judgement = judgement_of(verdict.code, healed=healed, missing=missing)
        heard = heard_of(verdict, self._policy.on_corruption, rejects=rejects)
        samples, rate_hz = verdict.actual_length, verdict.sample_rate_hz
        self._frames.judged(verdict.seq, samples, rate_hz, judgement, heard, verdict.algorithm)
        if self._book is None:
            return None
        record = FrameRecord(verdict.seq, judgement, heard, rate_hz, samples, verdict.pcm_sha256)
        return self._book.frame(record, samples_of(message, samples))

    def sentence(self, sentence: Sentence) -> Entered:
        """Enter a final result with text, once."""
        self._engine, self._model = sentence.engine, sentence.model
        provenance = self._frames.of(
            sentence.start_sample, sentence.end_sample, sentence.engine, sentence.model
        )
        record = self._book.sentence(sentence.text, provenance) if self._book is not None else ""
        return Entered(provenance, record)

    def replayed(self, below_seq: int) -> None:
        """Frames below this one are sent to another recorder again."""
        self._frames.replayed(below_seq)

    def committed(self, sample: int) -> None:
        """No sentence begins before this position any more."""
        self._frames.forget(sample)

    def records(self) -> Records | None:
        """The entries that the client was not sent yet."""
        return self._book.records() if self._book is not None else None

    def statement(
        self, now_ns: int, *, version: str, final: bool, rejected: str, replays: int
    ) -> Statement | None:
        """What is to be signed; None where no receipt was asked for."""
        if self._book is None:
            return None
        policy = self._policy
        handling = Handling(policy.verify, policy.on_corruption, policy.reject, policy.tolerated)
        about = Circumstances(
            final, rejected, version, handling, self._engine, self._model, replays
        )
        return self._book.statement(now_ns, about)


def heard_of(verdict: Verdict, on_corruption: OnCorruption, *, rejects: bool) -> Heard:
    """What the recogniser hears of a frame with that verdict."""
    if rejects:
        return Heard.NOTHING
    if verdict.code != Code.CORRUPT:
        return Heard.AS_RECEIVED
    if not verdict.sample_rate_hz or on_corruption is OnCorruption.DROP:
        return Heard.NOTHING  # of metadata that cannot be read, not even the length is known
    return Heard.AS_RECEIVED if on_corruption is OnCorruption.FORWARD else Heard.SILENCE
