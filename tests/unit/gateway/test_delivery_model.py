"""Gateway window and transcriber resequencer together, through arbitrary faults.

A model of the whole delivery: frames and acknowledgements may be lost, repeated, reordered and
delayed; the transcriber may restart and the session be opened again at its last commit. Whatever
happens, what is fed to recorders is what was sent, in order, each frame once per recorder, and
with fair loss everything arrives in the end.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from common.envelope import Ack, Code, Verdict
from gateway.retransmission import RetransmissionTimer
from gateway.window import OVERHEAD_BYTES, Window
from transcriber.resequencer import Resequencer
from transcriber.timeline import Timeline

WINDOW = 6
SAMPLES = 100
SESSION = b"s" * 16


def payload(number: int) -> bytes:
    return number.to_bytes(4, "little") * 8


def verdict_of(seq: int) -> Verdict:
    return Verdict(SESSION, seq, Code.OK, SAMPLES, SAMPLES, 0, 0, sample_rate_hz=16_000)


class Delivery(RuleBasedStateMachine):
    """The model; messages on the way are plain lists that rules lose, repeat and shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.window = Window(WINDOW, 1 << 20, RetransmissionTimer(0.25, 4.0))
        self.fed_timer = RetransmissionTimer(0.25, 4.0)
        self.sent: list[bytes] = []
        self.frames: list[tuple[int, int, bytes]] = []
        self.verdicts: list[Verdict] = []
        self.acks: list[tuple[int, Ack]] = []
        self.judged: list[int] = []
        self.recorder = 0
        self.fed: dict[int, bytes] = {}
        self.open_recorder()

    def open_recorder(self) -> None:
        """What the transcriber does on Open."""
        self.recorder += 1
        start = self.window.replay_start
        self.resequencer: Resequencer[bytes] = Resequencer(start.seq, WINDOW)
        self.timeline = Timeline(start)

    # -- what the gateway does -----------------------------------------------------------------

    @precondition(lambda self: not self.window.full)
    @rule(count=st.integers(1, 4))
    def client_sends(self, count: int) -> None:
        for _ in range(count):
            if not self.window.full:
                message = payload(len(self.sent))
                self.sent.append(message)
                self.window.accept(message, self.now_s, 0)
        self.gateway_sends()

    @rule(delay_s=st.floats(0.01, 5.0))
    def time_passes(self, delay_s: float) -> None:
        self.now_s += delay_s
        self.window.expire(self.now_s, self.fed_timer)
        self.gateway_sends()

    def gateway_sends(self) -> None:
        while (seq := self.window.to_send()) is not None:
            frame = self.window.sent(seq, self.now_s)
            self.frames.append((self.recorder, seq, frame.message))

    # -- what the network does -----------------------------------------------------------------

    @precondition(lambda self: self.frames)
    @rule(data=st.data())
    def frame_is_lost(self, data: st.DataObject) -> None:
        self.frames.pop(data.draw(st.integers(0, len(self.frames) - 1)))

    @precondition(lambda self: self.frames)
    @rule(data=st.data(), again=st.booleans(), audio_lost=st.booleans(), verdict_lost=st.booleans())
    def frame_is_verified(
        self, data: st.DataObject, again: bool, audio_lost: bool, verdict_lost: bool
    ) -> None:
        index = data.draw(st.integers(0, len(self.frames) - 1))
        recorder, seq, message = self.frames[index] if again else self.frames.pop(index)
        if not verdict_lost:
            self.verdicts.append(verdict_of(seq))
        if not audio_lost and recorder == self.recorder:
            self.transcriber_takes(seq, message)

    @precondition(lambda self: self.verdicts)
    @rule(data=st.data(), again=st.booleans())
    def verdict_arrives(self, data: st.DataObject, again: bool) -> None:
        index = data.draw(st.integers(0, len(self.verdicts) - 1))
        verdict = self.verdicts[index] if again else self.verdicts.pop(index)
        self.judged += [v.seq for _, v in self.window.judge(verdict, self.now_s)]

    @precondition(lambda self: self.acks)
    @rule(data=st.data(), lost=st.booleans())
    def ack_arrives(self, data: st.DataObject, lost: bool) -> None:
        recorder, ack = self.acks.pop(0)
        # The link keeps order, and acks of an instance that serves no more are not heard.
        if not lost and recorder == self.recorder:
            self.window.acknowledge(ack, self.now_s, self.fed_timer)
            self.gateway_sends()

    # -- what the transcriber does -------------------------------------------------------------

    def transcriber_takes(self, seq: int, message: bytes) -> None:
        self.resequencer.accept(seq, message)
        while (frame := self.resequencer.take()) is not None:
            fed_seq = self.resequencer.next_seq - 1
            assert self.fed.setdefault(fed_seq, frame) == frame
            self.timeline.fed(fed_seq, SAMPLES)
        self.transcriber_acknowledges()

    @rule(back=st.integers(0, 250))
    def transcriber_commits(self, back: int) -> None:
        self.timeline.commit_to(self.timeline.fed_samples - back)
        self.transcriber_acknowledges()

    def transcriber_acknowledges(self) -> None:
        self.acks.append(
            (
                self.recorder,
                Ack(
                    SESSION,
                    self.resequencer.next_seq,
                    self.resequencer.held_below,
                    self.resequencer.gaps(),
                    self.timeline.commit,
                ),
            )
        )

    @rule()
    def transcriber_restarts(self) -> None:
        self.open_recorder()
        self.window.reopen()
        self.gateway_sends()

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def fed_bytes_are_sent_bytes(self) -> None:
        for seq, frame in self.fed.items():
            assert frame == self.sent[seq]
        assert sorted(self.fed) == list(range(len(self.fed)))

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.resequencer) <= WINDOW
        assert self.window.in_flight <= max(WINDOW, self.window.next_seq - self.window.base)
        kept = self.window.next_seq - self.window.base
        size = len(payload(0)) + OVERHEAD_BYTES
        assert self.window.account.bytes == kept * size
        assert self.window.in_flight_bytes == self.window.in_flight * size

    @invariant()
    def what_a_replay_needs_is_kept(self) -> None:
        start = self.window.replay_start
        assert start == self.window.commit
        assert self.window.base <= start.seq
        assert self.timeline.commit.seq >= start.seq

    @invariant()
    def verdicts_come_in_order_and_once(self) -> None:
        assert self.judged == list(range(len(self.judged)))

    def teardown(self) -> None:
        """From any state, once nothing is lost any more, everything is fed and judged."""
        self.frames.clear()
        self.verdicts.clear()
        self.acks.clear()
        for _ in range(200):
            if self.window.quiet and len(self.fed) == len(self.sent):
                return
            self.now_s += 5.0
            self.window.expire(self.now_s, self.fed_timer)
            self.gateway_sends()
            for _, seq, message in self.frames:
                self.judged += [v.seq for _, v in self.window.judge(verdict_of(seq), self.now_s)]
                self.transcriber_takes(seq, message)
            self.frames.clear()
            self.transcriber_acknowledges()
            while self.acks:
                recorder, ack = self.acks.pop(0)
                if recorder == self.recorder:
                    self.window.acknowledge(ack, self.now_s, self.fed_timer)
        raise AssertionError("livelock: not everything arrived")


Delivery.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestDelivery = Delivery.TestCase
