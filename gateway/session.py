"""One client's session: its frames, failures and results, with every rule and no I/O.

The hub feeds it frames, verdicts, acknowledgements and events, and carries out what it decides:
events to send, and at most one rejection.
"""

from __future__ import annotations

import enum
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from common.envelope import SESSION_ID_BYTES, Ack, Code, Commit, Parameter, Verdict
from common.events import (
    Acknowledged,
    Error,
    Failure,
    FramesLost,
    FrameVerdict,
    FullSentence,
    Notice,
    Report,
    RetentionLimited,
    ServerEvent,
    SessionStarted,
)
from gateway.integrity_log import IntegrityLog
from gateway.latency import LatencyHistogram, bucket_of
from gateway.metrics import Tally
from gateway.rejection import FailureCount, RejectionPolicy, StaleFrames, mismatch_message
from gateway.sequence import SequenceTracker
from gateway.window import HeldFrame, RetransmissionTimer, Window

MAX_REPORTED_FAILURES: Final = 50
REMEMBERED_SENTENCES: Final = 64


class Link(enum.Enum):
    """Whether a session has a recorder."""

    WAITING = "waiting"
    """No live transcriber has room."""
    OPENING = "opening"
    OPEN = "open"


class Limits(NamedTuple):
    """A session's bounds."""

    window_frames: int
    window_bytes: int
    retransmit_min_s: float
    retransmit_max_s: float


class Session:
    """What one client's session knows and decides.

    Args:
        peer: the client's address as log lines name it.
        wants_events: the client asked for integrity events.
        tally: the gateway's totals.
        deliver: called with each event for the client.

    Attributes:
        epoch: number of its latest placement; results of earlier ones do not count.
        audio_endpoint: where its recorder takes audio; "" while it has none.
        said_end: the client said that no more audio follows (a stopping server finishes, too).
        to_replay: frames that its next recorder will be sent again.
        sentences_heard: results of its present recorder that have come, shown or not.
        refused_by: the transcriber that refused it last; others are asked before it.
        rejected: set once, with the reason, when the client has too many corrupt frames.
    """

    def __init__(
        self,
        *,
        peer: str,
        wants_events: bool,
        policy: RejectionPolicy,
        limits: Limits,
        log: IntegrityLog,
        tally: Tally,
        deliver: Callable[[ServerEvent | Notice], None],
    ) -> None:
        self.id: bytes = secrets.token_bytes(SESSION_ID_BYTES)
        self.peer = peer
        self.wants_events = wants_events
        self.policy = policy
        self.log = log
        self._tally = tally
        self.deliver = deliver
        self.window = Window(
            limits.window_frames,
            limits.window_bytes,
            RetransmissionTimer(limits.retransmit_min_s, limits.retransmit_max_s),
        )
        self.link = Link.WAITING
        self.transcriber: str | None = None
        self.epoch = 0
        self.audio_endpoint = ""
        self.parameters: dict[str, Parameter] = {}
        self.finishing = False
        self.said_end = False
        self.drained = False
        self.sentences_heard = 0
        self.refused_by: str | None = None
        self.was_open = False
        self.rejected: str | None = None
        self.replays = 0
        self.to_replay = 0
        self._retention_exceeded = False
        self.counts = [0] * len(Code)
        self.sentences: deque[str] = deque(maxlen=REMEMBERED_SENTENCES)
        self.sentence_count = 0
        self._failures = FailureCount(policy)
        self._corrupt_seqs: list[int] = []
        self._reported: list[Failure] = []
        self._stale = StaleFrames()
        self._sequence = SequenceTracker()
        self._latency = LatencyHistogram()
        self._samples_s = 0.0
        self._last_sentence_end = -1
        self._last_event_at: dict[str, int] = {}

    @property
    def key(self) -> str:
        """The session id as clients see it: 32 hexadecimal digits."""
        return self.id.hex()

    def is_rejected(self) -> bool:
        """Whether the client had too many corrupt frames; from then on nothing of it counts."""
        return self.rejected is not None

    @property
    def failures(self) -> int:
        """Corrupt frames so far."""
        return self._failures.failures

    @property
    def failures_before_replay(self) -> int:
        """Corrupt frames that a fresh recorder will not see, but that count for rejection."""
        start = self.window.replay_start.seq
        return sum(seq < start for seq in self._corrupt_seqs)

    def started(self, *, resumed: bool) -> SessionStarted:
        """The first event of a connection."""
        return SessionStarted(
            session=self.key,
            next_sequence=self.window.next_seq,
            committed_sequence=self.window.commit.seq,
            resumed=resumed,
            window_frames=self.window.limit,
            verify=self.policy.verify,
        )

    # -- verdicts ------------------------------------------------------------------------------

    def judge(self, verdict: Verdict, now_s: float) -> None:
        """Take in a verdict; acts on all whose turn has come, in the order of their frames."""
        for frame, in_turn in self.window.judge(verdict, now_s):
            if self.rejected is None:
                self._act_on(frame, in_turn, now_s)

    def _act_on(self, frame: HeldFrame, verdict: Verdict, now_s: float) -> None:
        code = verdict.code
        corrupt = code == Code.CORRUPT
        self.counts[code] += 1
        latency_s = now_s - frame.received_s
        bucket = bucket_of(latency_s)
        self._latency.count(bucket, latency_s)
        self._tally.judged(code, bucket, latency_s)
        if verdict.sample_rate_hz:
            self._samples_s += verdict.actual_length / verdict.sample_rate_hz
        stale = self._stale.diagnose(verdict, frame.message, corrupt)
        if stale:
            verdict = msgspec.structs.replace(verdict, diagnosis=stale, likely="")
        rejects = corrupt and self._failures.add()
        if corrupt:
            self.log.failed(frame.message, verdict, self.failures, rejects, now_s)
            self._remember(verdict)
            if self.policy.reject:  # at most one more than is tolerated
                self._corrupt_seqs.append(verdict.seq)
        elif code == Code.OK:
            self.log.passed(frame.message, verdict, now_s)
        else:
            self.log.unverified(frame.message, verdict, now_s)
        self._follow_sequence(verdict, now_s)
        if self.wants_events:
            self.deliver(self._verdict_event(verdict, latency_s))
        if verdict.malformed and not rejects:
            self.deliver(Error(verdict.malformed, mismatch_message(verdict), "continue"))
        if rejects:
            self._reject(verdict)

    def _follow_sequence(self, verdict: Verdict, now_s: float) -> None:
        anomaly = self._sequence.follow(verdict.audio_sequence)
        if anomaly is None:
            return
        self.log.out_of_sequence(anomaly, now_s)
        if self.wants_events:
            self.deliver(FramesLost(anomaly.kind, anomaly.expected, anomaly.got))

    def _verdict_event(self, verdict: Verdict, latency_s: float) -> FrameVerdict:
        return FrameVerdict(
            sequence=verdict.seq,
            verdict=Code(verdict.code).name.lower(),
            latency_ms=round(latency_s * 1000, 3),
            expected_length=verdict.expected_length,
            actual_length=verdict.actual_length,
            expected_checksum=verdict.expected_checksum,
            actual_checksum=verdict.actual_checksum,
            diagnosis=verdict.diagnosis,
            failures=self.failures,
            tolerated=self.policy.limit,
            likely=verdict.likely,
        )

    def _remember(self, verdict: Verdict) -> None:
        if len(self._reported) < MAX_REPORTED_FAILURES:
            self._reported.append(
                Failure(
                    sequence=verdict.seq,
                    expected_length=verdict.expected_length,
                    actual_length=verdict.actual_length,
                    expected_checksum=verdict.expected_checksum,
                    actual_checksum=verdict.actual_checksum,
                    diagnosis=verdict.diagnosis,
                    likely=verdict.likely,
                )
            )

    def _reject(self, verdict: Verdict) -> None:
        self.rejected = f"Connection rejected: {mismatch_message(verdict)}"
        self.deliver(Error("data_corruption", self.rejected, "disconnect"))
        if self.wants_events:
            self.deliver(self.report())

    # -- results -------------------------------------------------------------------------------

    def acknowledge(self, ack: Ack) -> bool:
        """Take in the transcriber's acknowledgement; whether the window moved."""
        moved = self.window.acknowledge(ack)
        if moved and self.wants_events:
            self.deliver(Acknowledged(self.window.received, self.window.commit.seq))
        return moved

    def commit(self, commit: Commit) -> None:
        """Take in what a sentence commits; the client is told after it got the sentence."""
        if self.window.commit_to(commit) and self.wants_events:
            self.deliver(Acknowledged(self.window.received, commit.seq))

    def sentence(self, text: str, end_sample: int, committed: int = 0) -> bool:
        """A final result; whether it is new (a replay may repeat it).

        A client that can resend is told with the sentence which frames it covers, so that no
        crash between two messages makes it send them again.
        """
        if end_sample <= self._last_sentence_end:
            return False
        self._last_sentence_end = end_sample
        if text:
            self.sentences.append(text)
            self.sentence_count += 1
            self.deliver(FullSentence(text, committed if self.wants_events else 0))
        return True

    def is_new(self, event_type: str, at_sample: int) -> bool:
        """Whether an event is not the repetition of one that a replay went through again."""
        if at_sample <= self._last_event_at.get(event_type, -1):
            return False
        self._last_event_at[event_type] = at_sample
        return True

    def tell_of_limit(self, scope: str) -> bool:
        """Tell the client, once, that audio was given up that a replay might need.

        Args:
            scope: which bound was met, ``session`` or ``total``.

        Returns:
            Whether this was the first time.
        """
        if self._retention_exceeded:
            return False
        self._retention_exceeded = True
        if self.wants_events:
            kept = self.window.retained_bytes
            message = f"audio before the last {kept} bytes could not be replayed after a crash"
            self.deliver(RetentionLimited(scope, kept, message))
        return True

    def missed_sentences(self, received: int) -> list[FullSentence]:
        """Final results that a client which counted ``received`` of them has not seen."""
        missing = min(max(0, self.sentence_count - received), len(self.sentences))
        return [FullSentence(text) for text in list(self.sentences)[-missing:]] if missing else []

    def report(self) -> Report:
        """What became of the session's frames so far."""
        return Report(
            frames=self.window.next_seq,
            audio_seconds=round(self._samples_s, 3),
            ok=self.counts[Code.OK],
            unverified=self.counts[Code.UNVERIFIED],
            corrupt=self.counts[Code.CORRUPT],
            failures=self._reported,
            lost=self._sequence.lost,
            repeated=self._sequence.repeated,
            reordered=self._sequence.reordered,
            retransmissions=self.window.retransmissions,
            replays=self.replays,
            sentences=self.sentence_count,
            verdict_latency_ms=self._latency.summary(),
        )
