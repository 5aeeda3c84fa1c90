"""One client's session: its frames, failures and results, with every rule and no I/O.

The hub feeds it frames, verdicts, acknowledgements and results; it returns what happened, with the
events for those who hear the session. Sending, logging and counting are the hub's.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

import msgspec

from common import envelope
from common.envelope import SESSION_ID_BYTES, Ack, Code, Commit, Parameter, Policy, Verdict
from common.events import (
    Acknowledged,
    Error,
    FramesLost,
    FullSentence,
    Records,
    Report,
    RetentionLimited,
    ServerEvent,
    SessionStarted,
)
from common.receipts.statement import Statement
from gateway.explaining import Explainer
from gateway.frame_counts import FrameCounts, Judged, verdict_event
from gateway.healing import Healing, HealingLimits
from gateway.pace import Pace
from gateway.receipts import ReceiptBook
from gateway.rejection import FailureCount, RejectionPolicy, StaleFrames, mismatch_message
from gateway.retention import RetentionLedger
from gateway.retransmission import RetransmissionTimer
from gateway.seat import NOWHERE, Seat
from gateway.sentences import Sentences
from gateway.sequence import SequenceTracker
from gateway.window import START, HeldFrame, Window
from gateway.witness import Witness

_DIGEST, _MISSING = int(Policy.DIGEST), int(Policy.MISSING)
_REPORT_CORRUPT = int(Policy.REPORT_CORRUPT)


class SessionLimits(NamedTuple):
    """A session's bounds."""

    window_frames: int
    window_bytes: int
    retransmit_min_s: float
    retransmit_max_s: float
    max_speed: float = 0.0
    timer: RetransmissionTimer | None = None  # of all sessions


class SentenceTaken(NamedTuple):
    """What a final result came to.

    Attributes:
        is_new: it is not the repetition of one that a replay went through again.
        events: for those who hear the session.
    """

    is_new: bool
    events: list[ServerEvent]


class ToSign(NamedTuple):
    """A receipt but for its signature, and the entries that the client was not sent yet."""

    records: Records | None
    statement: Statement


class Session:
    """What one client's session knows and decides.

    Args:
        peer: the client's address as log lines name it.
        wants_events: the client asked for integrity events.
        wants_utterances: the client is told of every utterance, also of those without text.
        ledger: where the bytes are booked that are kept for it.
        start: where in its first frame it begins, if it goes on with the stream of another.
        receipt_from_ns: now, since 1970, if the client is to have a receipt.
        resends: the client's number of its first frame, if it promised to send frames again, and
            how long they are tried for.
        failures: counts its corrupt frames; None: from 0, and for itself.

    Attributes:
        seat: its place at a transcriber; the placement's to replace.
        resting: it has sent nothing that is to be transcribed (lately): it needs no recorder.
        active_s: when it sent something last, on the monotonic clock.
        pace: how far ahead of real time its audio is.
        said_end: the client said that no more audio follows (a stopping server finishes, too).
        healing: asks for frames again; None for a client that did not promise to answer.
        rejected: set once, with the reason, when the client has too many corrupt frames.
    """

    def __init__(
        self,
        *,
        peer: str,
        wants_events: bool,
        policy: RejectionPolicy,
        limits: SessionLimits,
        wants_utterances: bool = False,
        ledger: RetentionLedger[bytes] | None = None,
        start: Commit = START,
        receipt_from_ns: int | None = None,
        resends: tuple[int, HealingLimits] | None = None,
        session_id: bytes | None = None,
        failures: FailureCount | None = None,
    ) -> None:
        self.id: bytes = session_id or secrets.token_bytes(SESSION_ID_BYTES)
        self.peer = peer
        self.wants_events = wants_events
        self.wants_utterances = wants_utterances
        self.policy = policy
        self.window = Window(
            limits.window_frames,
            limits.window_bytes,
            limits.timer or RetransmissionTimer(limits.retransmit_min_s, limits.retransmit_max_s),
            ledger.open(self.id) if ledger is not None else None,
            start,
        )
        self.healing = Healing(self.window, *resends) if resends is not None else None
        self.seat: Seat = NOWHERE
        self.resting = True
        self.active_s = 0.0
        self.pace = Pace(limits.max_speed)
        self.parameters: dict[str, Parameter] = {}
        self.finishing = False
        self.said_end = False
        self.drained = False
        self.rejected: str | None = None
        self.replays = 0
        self._retention_exceeded = False
        self._counts = FrameCounts()
        self._failures = failures or FailureCount(policy)
        self._corrupt_seqs: list[int] = []
        self._stale = StaleFrames()
        self._explainer = Explainer()
        self._sequence = SequenceTracker()
        self.wants_receipt = receipt_from_ns is not None
        book = ReceiptBook(self.id, receipt_from_ns, start) if receipt_from_ns is not None else None
        self._witness = Witness(policy, book, start) if wants_events else None
        self._sentences = Sentences(
            wants_events=wants_events,
            wants_utterances=wants_utterances,
            witness=self._witness,
        )
        self._last_event_at: dict[str, int] = {}

    @property
    def key(self) -> str:
        """The session id as clients see it: 32 hexadecimal digits."""
        return self.id.hex()

    @property
    def wants_times(self) -> bool:
        """Whether events say where in the audio they belong; stock clients do not expect it."""
        return self.wants_events or self.wants_utterances

    def policy_bits(self, frame: HeldFrame) -> int:
        """What verifiers are to do with a frame beside what the server's policy says."""
        bits = _DIGEST if self.wants_receipt else 0
        if frame.is_missing:
            bits |= _MISSING
        elif self.healing is not None and not frame.final and not frame.judged:
            bits |= _REPORT_CORRUPT
        return bits

    def is_rejected(self) -> bool:
        """Whether the client had too many corrupt frames; from then on nothing of it counts."""
        return self.rejected is not None

    @property
    def sentence_count(self) -> int:
        """Final results that were shown to the client."""
        return self._sentences.count

    @property
    def failures(self) -> int:
        """Corrupt frames that count against it so far."""
        return self._failures.failures

    @property
    def corrupt_frames(self) -> int:
        """Its own corrupt frames so far."""
        return self._counts[Code.CORRUPT]

    @property
    def failures_before_replay(self) -> int:
        """Corrupt frames that a fresh recorder will not see, but that count for rejection."""
        start = self.window.replay_start.seq
        return self.failures - sum(seq >= start for seq in self._corrupt_seqs)

    def started(self, *, resumed: bool, misses_sentences: bool = False) -> SessionStarted:
        """The first event of a connection.

        Args:
            misses_sentences: the client has not seen all results yet: it is told what they commit
                with each of them, and not before.
        """
        commit = START if misses_sentences else self.window.commit
        return SessionStarted(
            session=self.key,
            next_sequence=self.window.next_seq,
            committed_sequence=commit.seq,
            resumed=resumed,
            window_frames=self.window.limit,
            verify=self.policy.verify,
            skip_samples=commit.skip_samples,
            run_samples=commit.run_samples,
            sample=commit.sample,
            resend=self.healing is not None,
            receipt=self.wants_receipt,
        )

    # -- verdicts ------------------------------------------------------------------------------

    def judge(self, verdict: Verdict, now_s: float) -> list[Judged]:
        """Take in a verdict; what became of all whose turn has come, in the order of their frames.

        Nothing counts any more after the frame that rejects.
        """
        judged: list[Judged] = []
        for frame, in_turn in self.window.judge(verdict, now_s):
            if self.rejected is None:
                judged.append(self._act_on(frame, in_turn, now_s))
        return judged

    def _act_on(self, frame: HeldFrame, verdict: Verdict, now_s: float) -> Judged:
        corrupt = verdict.code == Code.CORRUPT
        latency_s = now_s - frame.received_s
        before_s = self._counts.seconds
        bucket = 0 if frame.is_missing else self._counts.count(verdict, latency_s)
        self.pace.took(self._counts.seconds - before_s, now_s)
        mended = None
        if self.healing is not None:
            mended = self.healing.judged(verdict.seq, corrupt=corrupt)
        stale = self._stale.diagnose(verdict, frame.message, corrupt)
        if stale:
            verdict = msgspec.structs.replace(verdict, diagnosis=stale, likely="")
        rejects = corrupt and self._failures.add(now_s)
        if corrupt:
            self._counts.remember(verdict)
            if self.policy.reject:  # at most one more than is tolerated
                self._corrupt_seqs.append(verdict.seq)
        anomaly = self._sequence.follow(verdict.audio_sequence)
        events: list[ServerEvent] = []
        if self._witness is not None:
            records = self._witness.judged(
                frame.message,
                verdict,
                rejects=rejects,
                healed=mended is not None,
                missing=frame.is_missing,
            )
            if records is not None:
                events.append(records)
        if self.wants_events:
            if anomaly is not None:
                events.append(FramesLost(anomaly.kind, anomaly.expected, anomaly.got))
            if mended is not None:
                events.append(self._explainer.healed(frame, verdict.seq, mended, now_s))
            if not frame.is_missing:  # that is said where the counter jumps
                events.append(verdict_event(verdict, latency_s, self.failures, self.policy))
        if verdict.malformed and not rejects:
            events.append(Error(verdict.malformed, mismatch_message(verdict), "continue"))
        if rejects:
            events += self._reject(verdict)
        return Judged(
            frame.message,
            verdict,
            latency_s,
            bucket,
            self.failures,
            rejects,
            anomaly,
            events,
            mended,
            frame.is_missing,
            frame.spoiled,
        )

    def _reject(self, verdict: Verdict) -> list[ServerEvent]:
        self.rejected = f"Connection rejected: {mismatch_message(verdict)}"
        error = Error("data_corruption", self.rejected, "disconnect")
        return [error, self.report()] if self.wants_events else [error]

    # -- results -------------------------------------------------------------------------------

    def acknowledge(
        self, ack: Ack, now_s: float = 0.0, fed_timer: RetransmissionTimer | None = None
    ) -> bool:
        """Take in the transcriber's acknowledgement; whether the window moved."""
        moved = self.window.acknowledge(ack, now_s, fed_timer)
        if moved and self._witness is not None:
            self._witness.committed(self.window.commit.sample)
        return moved

    def acknowledged(self) -> list[ServerEvent]:
        """The event, for who asked for it, that says how far the window has moved."""
        if not self.wants_events:
            return []
        at = self.window.commit
        return [Acknowledged(self.window.fed, at.seq, at.skip_samples, at.run_samples, at.sample)]

    def take_sentence(self, sentence: envelope.Sentence) -> SentenceTaken:
        """Take in a final result and what it commits.

        A client that can resend is told with the sentence which frames it covers, so that no
        crash between two messages makes it send them again. The commit alone it is told after it
        got the sentence.
        """
        self.seat = self.seat.heard_sentence()
        is_new = self._sentences.is_new(sentence)
        events: list[ServerEvent] = []
        if is_new:
            if sentence.error:
                events.append(Error("transcription_failed", sentence.error, "continue"))
            shown = self._sentences.show(sentence)
            if shown is not None:
                events.append(shown)
        if self.window.commit_to(sentence.commit):
            events += self.acknowledged()
        return SentenceTaken(is_new, events)

    def leave_seat(self, refused_by: str | None = None) -> None:
        """Its recorder is gone, or to be replaced: the next one begins at the last commit."""
        if self._witness is not None:
            self._witness.replayed(self.window.fed)
        self.seat = self.seat.left(self.window.reopen(), refused_by)

    def note_event(self, event_type: str, at_sample: int) -> bool:
        """Note an event; whether it is new, not one that a replay went through again."""
        if at_sample <= self._last_event_at.get(event_type, -1):
            return False
        self._last_event_at[event_type] = at_sample
        return True

    def note_limit(self, scope: str) -> RetentionLimited | None:
        """Note that audio was given up that a replay might need.

        Args:
            scope: which bound was met, ``session`` or ``total``.

        Returns: what to tell the client, the first time.
        """
        if self._retention_exceeded:
            return None
        self._retention_exceeded = True
        kept = self.window.account.bytes
        message = f"audio before the last {kept} bytes could not be replayed after a crash"
        return RetentionLimited(scope, kept, message)

    def missed_sentences(self, received: int) -> list[FullSentence]:
        """Final results that a client which counted ``received`` of them has not seen."""
        return self._sentences.missed(received)

    @property
    def audio_seconds(self) -> float:
        """Audio that was judged so far."""
        return self._counts.seconds

    def report(self) -> Report:
        """What became of the session's frames so far."""
        return Report(
            frames=self.window.next_seq,
            audio_seconds=round(self._counts.seconds, 3),
            ok=self._counts[Code.OK],
            unverified=self._counts[Code.UNVERIFIED],
            corrupt=self._counts[Code.CORRUPT],
            failures=self._counts.failures,
            lost=self._sequence.lost,
            repeated=self._sequence.repeated + (self.healing.repeated if self.healing else 0),
            reordered=self._sequence.reordered,
            retransmissions=self.window.retransmissions,
            replays=self.replays,
            sentences=self._sentences.count,
            verdict_latency_ms=self._counts.latency_ms(),
            provenance=self._sentences.provenance(),
            asked=self.healing.asked if self.healing is not None else 0,
            healed=self.healing.healed if self.healing is not None else 0,
        )

    def to_sign(self, now_ns: int, *, version: str, final: bool) -> ToSign | None:
        """What a receipt says at this moment; None for a client that is not to have one."""
        if self._witness is None:
            return None
        stated = self._witness.statement(
            now_ns,
            version=version,
            final=final,
            rejected=self.rejected or "",
            replays=self.replays,
        )
        return ToSign(self._witness.records(), stated) if stated is not None else None
