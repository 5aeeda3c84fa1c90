"""What the gateway knows of one session's frames on their way to the recorder.

A frame is kept from its arrival until the transcriber commits it; it is *in flight* until the
transcriber has fed it, and *judged* once its verdict came. A frame that makes no progress within
the retransmission timeout is sent again: one without a verdict after a timeout out of measured
verdict latencies, a judged one, whose audio a verifier has passed on, after a timeout out of what
its transcriber takes to say that it has a frame. Holds no socket and no clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from common.envelope import Ack, Commit, Verdict
from gateway.retention import Account
from gateway.retransmission import RetransmissionTimer

RECORDER_RATE_HZ: Final = 16_000
START: Final = Commit(seq=0, skip_samples=0, sample=0)
OVERHEAD_BYTES: Final = 256
"""What keeping a frame takes beside its message: frames without samples must not come for free."""


class HeldFrame:
    """One frame that is kept: the client's message and how far it got.

    Attributes:
        awaited: its client was asked for it (again): until the answer came it is not sent on.
        version: how often its message was replaced by such an answer.
        final: it is not asked for any more: whatever its verdict, that counts.
        spoiled: as it arrived first, and the verdict on that, once it is another.
    """

    __slots__ = (
        *("attempts", "awaited", "due_s", "final", "judged", "judged_s", "message", "received_ns"),
        *("received_s", "repeated", "resent_s", "samples_16k", "sent_s", "spoiled", "stamp"),
        *("verdict", "version"),
    )

    def __init__(self, message: bytes, received_s: float, received_ns: int, stamp: int) -> None:
        self.message = message
        self.stamp = stamp
        self.received_s = received_s
        self.received_ns = received_ns
        self.attempts = 0
        self.sent_s = 0.0  # first
        self.resent_s = 0.0  # last
        self.due_s = 0.0  # again, while it has no verdict
        self.judged = False
        self.judged_s = 0.0
        self.repeated = False  # a second verdict came: it had not been lost when it was sent again
        self.awaited = False
        self.version = 0
        self.final = False
        self.spoiled: tuple[bytes, Verdict] | None = None
        self.verdict: Verdict | None = None
        self.samples_16k = 0.0

    @property
    def is_missing(self) -> bool:
        """Whether it was given up without ever having come."""
        return self.final and not self.message

    @property
    def size(self) -> int:
        """Bytes that keeping it takes, nearly."""
        return len(self.message) + OVERHEAD_BYTES


class Window:
    """The frames of one session, from acceptance to commit.

    Invariant: ``base <= fed <= unsent <= next_seq`` and ``judged <= next_seq``.

    Attributes:
        base: first frame that is kept; all before it are committed (or were given up).
        fed: frames below it were fed to the recorder.
        unsent: first frame that was not sent to the present transcriber.
        next_seq: number of the next frame to come.
        judged: verdicts of all frames below it were taken, in order.
        account: what all frames kept take.
        in_flight_bytes: what those take that are in flight.
    """

    def __init__(
        self,
        limit: int,
        limit_bytes: int,
        timer: RetransmissionTimer,
        account: Account | None = None,
        start: Commit = START,
    ) -> None:
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.timer = timer
        self.base = 0
        self.fed = 0
        self.unsent = 0
        self.next_seq = 0
        self.judged = 0
        self.account = account or Account()
        self.in_flight_bytes = 0
        self.retransmissions = 0
        self.commit = start
        self._base_sample = 0.0
        self._frames: deque[HeldFrame] = deque()
        self._settled = 0  # frames below it were fed and judged
        self._held_below = 0
        self._gaps: frozenset[int] = frozenset()
        self._lost: deque[int] = deque()
        self._again: deque[int] = deque()  # sent before, but their message or policy is another
        self._awaited = 0

    @property
    def in_flight(self) -> int:
        """Frames accepted that were not fed to a recorder yet, or not judged."""
        return self.next_seq - min(self.fed, self.judged)

    @property
    def replay_start(self) -> Commit:
        """Where a fresh recorder has to start: the last commit, or past what was given up."""
        if self.base <= self.commit.seq:
            return self.commit
        return Commit(self.base, 0, int(self._base_sample))

    @property
    def full(self) -> bool:
        """Whether the client must wait before it sends more.

        While answers are awaited there is room for another window: they come after all that the
        client has sent by then, which is at most a window for one that promised to resend.
        """
        factor = 2 if self._awaited else 1
        too_many = self.in_flight >= factor * self.limit
        return too_many or self.in_flight_bytes >= factor * self.limit_bytes

    @property
    def quiet(self) -> bool:
        """Whether every frame was fed and judged, so that nothing can need a retransmission."""
        return self.fed == self.next_seq == self.judged

    @property
    def nothing_is_out(self) -> bool:
        """Whether all that was sent was fed and judged, whatever waits to be sent."""
        return self.fed >= self.unsent <= self.judged

    @property
    def has_more(self) -> bool:
        """Whether :meth:`to_send` may find something."""
        return self.unsent < self.next_seq or bool(self._again) or bool(self._lost)

    def frame(self, seq: int) -> HeldFrame | None:
        """The frame numbered ``seq`` while it is kept."""
        index = seq - self.base
        return self._frames[index] if 0 <= index < len(self._frames) else None

    def accept(self, message: bytes, now_s: float, now_ns: int, stamp: int = 0) -> int:
        """Keep a new frame, with the stamp that was taken of it on receipt; its seq."""
        seq = self.next_seq
        frame = HeldFrame(message, now_s, now_ns, stamp)
        self._frames.append(frame)
        self.next_seq += 1
        size = frame.size
        self.account.keep(size)
        self.in_flight_bytes += size
        return seq

    def expect(self, message: bytes, now_s: float, now_ns: int) -> int:
        """Keep the place of a frame that did not come, or only as ``message``; its seq."""
        seq = self.accept(message, now_s, now_ns)
        self.await_again(seq)
        return seq

    def await_again(self, seq: int, verdict: Verdict | None = None) -> None:
        """Its client is asked for a frame: what is there of it is not sent on meanwhile.

        Args:
            verdict: why.
        """
        frame = self._frames[seq - self.base]
        frame.awaited = True
        if frame.spoiled is None and verdict is not None:
            frame.spoiled = frame.message, verdict
        self._awaited += 1

    def refill(self, seq: int, message: bytes, now_s: float, stamp: int) -> None:
        """The client has sent an awaited frame again."""
        frame = self._frames[seq - self.base]
        before = frame.size
        frame.message, frame.stamp, frame.received_s = message, stamp, now_s
        frame.version += 1
        self.account.keep(frame.size - before)
        self.in_flight_bytes += frame.size - before
        self._await_no_longer(frame, seq)

    def lose(self, seq: int) -> None:
        """A frame was damaged in here: as if it had never come, which is held against nobody."""
        frame = self._frames[seq - self.base]
        self.account.let_go(len(frame.message))
        self.in_flight_bytes -= len(frame.message)
        frame.message, frame.stamp, frame.final = b"", 0, True

    def settle_for(self, seq: int) -> None:
        """A frame is not asked for any more: send on what there is, and let its verdict count."""
        frame = self._frames[seq - self.base]
        frame.final = True
        self._await_no_longer(frame, seq)

    def truncate(self, next_seq: int) -> None:
        """There is no frame from this seq on: places kept for such ones are given up."""
        while self.next_seq > max(next_seq, self.judged, self.fed):
            frame = self._frames.pop()
            self.next_seq -= 1
            self._awaited -= frame.awaited
            self.account.let_go(frame.size)
            self.in_flight_bytes -= frame.size
        self.unsent = min(self.unsent, self.next_seq)

    def _await_no_longer(self, frame: HeldFrame, seq: int) -> None:
        self._awaited -= frame.awaited
        frame.awaited = False
        frame.attempts = 0
        if seq < self.unsent:
            self._again.append(seq)

    def to_send(self) -> int | None:
        """The frame to send next: first what is new of it, what was lost, what was never sent."""
        while self._again:
            seq = self._again[0]
            if self._missing(seq):
                return seq
            self._again.popleft()
        while self._lost:
            seq = self._lost[0]
            if self._missing(seq):
                return seq
            self._lost.popleft()
        end = min(self.next_seq, self.fed + self.limit)
        while self.unsent < end:
            if not self._frames[self.unsent - self.base].awaited:
                return self.unsent
            self.unsent += 1
        return None

    def sent(self, seq: int, now_s: float) -> HeldFrame:
        """Note that ``seq`` went out; due again after its timeout."""
        frame = self._frames[seq - self.base]
        frame.attempts += 1
        frame.resent_s = now_s
        if frame.attempts == 1:
            frame.sent_s = now_s
        frame.due_s = now_s + self.timer.timeout_s(frame.attempts)
        if self._again and self._again[0] == seq:
            self._again.popleft()
        elif self._lost and self._lost[0] == seq:
            self._lost.popleft()
            self.retransmissions += 1
        elif seq == self.unsent:
            self.unsent += 1
        return frame

    def expire(self, now_s: float, fed_timer: RetransmissionTimer | None = None) -> bool:
        """Queue what made no progress within its timeout for sending again; whether any did not.

        Args:
            fed_timer: of the session's transcriber: how late its acknowledgements are.
        """
        if self.quiet:
            return False
        queued = set(self._lost)
        for seq in range(max(self.base, min(self.fed, self.judged)), self.unsent):
            frame = self._frames[seq - self.base]
            due_s = frame.due_s
            if frame.judged and fed_timer is not None:
                due_s = frame.resent_s + fed_timer.timeout_s(frame.attempts)
            overdue = frame.attempts and due_s <= now_s
            if overdue and seq not in queued and self._missing(seq):
                self._lost.append(seq)
        return bool(self._lost)

    def judge(self, verdict: Verdict, now_s: float) -> list[tuple[HeldFrame, Verdict]]:
        """Take in a verdict; those whose turn has come now, in seq order, each once.

        For a repeated verdict, or one for a frame that is not kept, there are none.
        """
        in_turn: list[tuple[HeldFrame, Verdict]] = []
        frame = self.frame(verdict.seq)
        if frame is None or not frame.attempts:
            return in_turn
        if frame.judged:
            if not frame.repeated:  # it had only been late: so the timeout is too short
                frame.repeated = True
                self.timer.measured(frame.judged_s - frame.received_s, now_s)
            return in_turn
        if verdict.attempt != frame.version:
            return in_turn  # of a message that was replaced since
        frame.judged, frame.judged_s = True, now_s
        self._awaited -= frame.awaited
        frame.awaited = False
        if verdict.sample_rate_hz:
            frame.samples_16k = verdict.actual_length * RECORDER_RATE_HZ / verdict.sample_rate_hz
        frame.verdict = verdict
        if frame.attempts == 1:
            self.timer.measured(now_s - frame.received_s, now_s)
        while (next_frame := self.frame(self.judged)) is not None and next_frame.judged:
            self.judged += 1
            due, next_frame.verdict = next_frame.verdict, None
            if due is not None:
                in_turn.append((next_frame, due))
        self._settle()
        self._forget()
        return in_turn

    def acknowledge(
        self, ack: Ack, now_s: float = 0.0, fed_timer: RetransmissionTimer | None = None
    ) -> bool:
        """Take in an acknowledgement; whether the window moved.

        Args:
            fed_timer: of the transcriber; is told how long the newest frame took to get there.
        """
        moved = False
        newest = max(ack.fed, ack.held_below) - 1
        if fed_timer is not None and newest >= max(self.fed, self._held_below):
            frame = self.frame(newest)
            # Of one that was sent twice it is not known which copy arrived, unless both did.
            if frame is not None and (frame.attempts == 1 or frame.repeated):
                fed_timer.measured(now_s - frame.sent_s, now_s)
        if self.fed < ack.fed <= self.next_seq:
            self.fed = ack.fed
            self.unsent = max(self.unsent, self.fed)
            self._settle()
            moved = True
        self._held_below = ack.held_below
        self._gaps = frozenset(ack.gaps)
        return self.commit_to(ack.commit) or moved

    def commit_to(self, commit: Commit) -> bool:
        """Let go of what no replay will need; whether that is more than before."""
        if commit.sample <= self.commit.sample or commit.seq > self.fed:
            return False
        self.commit = commit
        self._forget()
        return True

    def reopen(self) -> int:
        """Start over at the last commit, with a fresh recorder; how many frames it will replay."""
        start = self.replay_start.seq
        replayed = self.fed - start
        self.fed = self.unsent = start
        self._settled = min(self.fed, self.judged)
        in_flight = list(self._frames)[self._settled - self.base :]
        self.in_flight_bytes = sum(frame.size for frame in in_flight)
        self._held_below = 0
        self._gaps = frozenset()
        self._lost.clear()
        self._again.clear()
        return replayed

    def give_up_oldest(self, target_bytes: int) -> int:
        """Let go of fed and judged frames, oldest first, until ``target_bytes`` are kept.

        They cannot be replayed any more. Returns how many frames that costs.
        """
        given_up = 0
        while self.account.bytes > target_bytes and self.base < min(self.fed, self.judged):
            self._drop_oldest()
            given_up += 1
        return given_up

    def _missing(self, seq: int) -> bool:
        """Whether the frame still needs a verdict or has not reached the transcriber."""
        frame = self.frame(seq)
        if frame is None or frame.awaited:
            return False
        held = seq < self.fed or (seq < self._held_below and seq not in self._gaps)
        return not (frame.judged and held)

    def _settle(self) -> None:
        while self._settled < min(self.fed, self.judged):
            self.in_flight_bytes -= self._frames[self._settled - self.base].size
            self._settled += 1

    def _forget(self) -> None:
        while self.base < min(self.commit.seq, self.judged):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        frame = self._frames.popleft()
        self.account.let_go(frame.size)
        self._base_sample += frame.samples_16k
        self.base += 1
        if self.base == self.commit.seq:
            self._base_sample = self.commit.sample - self.commit.skip_samples
