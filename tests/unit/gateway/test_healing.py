"""What is asked for again, where answers belong, and that no client can make it unbounded."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from common.envelope import Ack, Code, Commit, Verdict
from common.events import Resend
from common.wire import Metadata, build_message, frame_label, mark_resent
from gateway.healing import Healing, HealingLimits, Mended
from gateway.retransmission import RetransmissionTimer
from gateway.window import Window

LIMIT = 8
SESSION = bytes(16)


def message(number: int, *, good: bool = True) -> bytes:
    """A frame; a corrupt one bears another checksum."""
    return build_message(
        Metadata(sample_rate=16_000, checksum=0 if good else 1, audio_sequence=number), b"\x00\x00"
    )


class World:
    """One session's window and healing, a verifier that judges at once, and a clock.

    Attributes:
        asked: all requests so far.
        heard: what the recorder got, in order; None for a frame of which nothing is heard.
    """

    def __init__(self, attempts: int = 2, first: int = 0, limit: int = LIMIT) -> None:
        self.window = Window(limit, 1 << 20, RetransmissionTimer(0.25, 4.0))
        self.healing = Healing(self.window, first, HealingLimits(attempts, 1.0))
        self.now_s = 0.0
        self.asked: list[Resend] = []
        self.heard: list[tuple[int, Code, bytes]] = []
        self.mended: dict[int, Mended] = {}
        self._fed: dict[int, bytes] = {}

    def arrives(self, raw: bytes) -> list[Resend]:
        asks = self.healing.accept(raw, 1, self.now_s, 0)
        return asks + self.judge(asks)

    def judge(self, asks: list[Resend]) -> list[Resend]:
        """Let the verifier judge what there is to send."""
        self.asked += asks
        more: list[Resend] = []
        while (seq := self.window.to_send()) is not None:
            frame = self.window.sent(seq, self.now_s)
            label = frame_label(frame.message)
            good = label is not None and b'"checksum":0' in frame.message
            code = Code.OK if good or frame.is_missing else Code.CORRUPT
            verdict = Verdict(SESSION, seq, code, 1, 1, 0, 0, 16_000, attempt=frame.version)
            found = self.healing.corrupt(verdict, self.now_s) if code == Code.CORRUPT else None
            if found is not None:
                more += found
                continue
            for judged, in_turn in self.window.judge(verdict, self.now_s):
                mended = self.healing.judged(in_turn.seq, corrupt=in_turn.code == Code.CORRUPT)
                if mended is not None:
                    self.mended[in_turn.seq] = mended
                self.heard.append((in_turn.seq, Code(in_turn.code), judged.message))
            fed = self.window.judged
            self.window.acknowledge(Ack(SESSION, fed, fed, [], Commit(0, 0, 0)))
        self.asked += more
        return more

    def waits(self, seconds: float) -> list[Resend]:
        self.now_s += seconds
        asks = self.healing.overdue(self.now_s)
        return asks + self.judge(asks)

    @property
    def codes(self) -> list[Code]:
        return [code for _, code, _ in self.heard]


def test_a_corrupt_frame_is_asked_for_and_takes_its_place() -> None:
    world = World()
    assert world.arrives(message(0, good=False)) == [Resend(0, 1)]
    assert world.arrives(message(1)) == []
    assert world.heard == [], "what comes behind it waits"
    world.now_s = 0.02
    world.arrives(mark_resent(message(0), 1))
    assert world.codes == [Code.OK, Code.OK]
    assert world.mended == {0: Mended(1, 0.02)}
    assert (world.healing.asked, world.healing.healed) == (1, 1)


def test_only_when_all_attempts_are_used_up_does_it_count() -> None:
    world = World(attempts=2)
    assert world.arrives(message(0, good=False)) == [Resend(0, 1)]
    assert world.arrives(message(0, good=False)) == [Resend(0, 2)]
    assert world.heard == []
    assert world.arrives(message(0, good=False)) == []
    assert world.codes == [Code.CORRUPT]
    assert world.healing.given_up == 1
    assert world.arrives(message(0)) == [], "too late"
    assert world.codes == [Code.CORRUPT]
    assert world.healing.repeated == 1


def test_a_client_that_never_answers_is_waited_for_as_long_as_is_set_and_no_longer() -> None:
    world = World(attempts=2)
    world.arrives(message(0, good=False))
    assert world.waits(0.9) == []
    assert world.waits(0.2) == [Resend(0, 2)]
    assert world.waits(0.9) == []
    assert world.waits(0.2) == []
    assert world.codes == [Code.CORRUPT]


def test_missing_frames_are_asked_for_when_the_counter_jumps() -> None:
    world = World()
    world.arrives(message(0))
    assert world.arrives(message(3)) == [Resend(1, 1), Resend(2, 1)]
    for number in (2, 1):
        world.arrives(mark_resent(message(number), 1))
    assert [frame_label(raw).number for _, _, raw in world.heard if frame_label(raw)] == [  # type: ignore[union-attr]
        0,
        1,
        2,
        3,
    ]


def test_of_a_frame_that_never_comes_nothing_is_heard_and_it_is_no_failure() -> None:
    world = World(attempts=1)
    world.arrives(message(1))
    world.waits(1.1)
    assert [(seq, raw == b"") for seq, _, raw in world.heard] == [(0, True), (1, False)]
    assert Code.CORRUPT not in world.codes


def test_an_unreadable_message_is_taken_for_the_next_frame() -> None:
    world = World()
    assert world.arrives(b"garbage") == [Resend(0, 1)]
    world.arrives(mark_resent(message(0), 1))
    assert world.codes == [Code.OK]
    assert world.mended[0].attempts == 1


def test_an_unreadable_message_that_was_a_repetition_costs_nothing() -> None:
    world = World()
    world.arrives(message(0))
    assert world.arrives(b"garbage") == [Resend(1, 1)]
    world.healing.not_sent(1)
    assert world.waits(10) == []
    world.arrives(message(1))
    assert world.codes == [Code.OK, Code.OK]
    assert world.mended == {}


def test_an_unreadable_frame_that_is_never_answered_counts_as_the_corrupt_frame_it_was() -> None:
    world = World(attempts=1)
    world.arrives(b"garbage")
    world.arrives(message(1))
    world.waits(1.1)
    assert world.heard[0] == (0, Code.CORRUPT, b"garbage")


def test_the_end_tells_of_frames_that_are_missing_there() -> None:
    world = World()
    world.arrives(message(0))
    assert world.healing.end(3, 0.0, 0) == [Resend(1, 1), Resend(2, 1)]
    world.arrives(message(2))
    world.arrives(message(1))
    assert world.codes == [Code.OK] * 3
    assert world.window.next_seq == 3


def test_the_end_tells_of_frames_that_never_were() -> None:
    """As a damaged counter makes one believe."""
    world = World()
    world.arrives(message(0))
    world.arrives(message(4, good=False))
    for seq in range(1, 5):
        world.healing.not_sent(seq)
    assert world.waits(100) == []
    assert world.healing.end(1, 0.0, 0) == []
    assert world.window.next_seq == world.window.judged == 1
    assert world.window.in_flight == 0


def test_an_end_without_a_number_settles_for_what_came() -> None:
    world = World(attempts=1)
    world.arrives(b"garbage")
    world.judge(world.healing.end(None, 0.0, 0))
    world.waits(1.1)
    assert world.codes == [Code.CORRUPT]


def test_after_the_end_answers_are_taken_and_new_frames_are_not() -> None:
    for total in (1, None):
        world = World()
        world.arrives(message(0, good=False))
        world.healing.end(total, 0.0, 0)
        assert world.arrives(message(1)) == []
        assert world.window.next_seq == 1
        world.arrives(mark_resent(message(0), 1))
        assert world.codes == [Code.OK]


def test_numbers_begin_where_the_client_says() -> None:
    world = World(first=100)
    world.arrives(message(100))
    assert world.arrives(message(102)) == [Resend(1, 1)]


def test_a_client_that_counts_from_elsewhere_is_believed_after_a_while() -> None:
    world = World(attempts=1)
    for number in range(LIMIT + 1):
        world.arrives(message(1_000 + number))
    world.arrives(message(1_000 + LIMIT + 1))
    assert len(world.heard) == 2


def test_while_the_client_is_away_no_time_runs_and_it_is_told_again_when_it_is_back() -> None:
    world = World(attempts=1)
    world.arrives(message(0, good=False))
    world.healing.suspend()
    assert world.waits(100) == []
    assert world.heard == []
    assert world.healing.resume(world.now_s) == [Resend(0, 1)]
    world.arrives(message(0))
    assert world.codes == [Code.OK]


def test_a_verdict_on_a_message_that_was_replaced_does_not_count() -> None:
    world = World()
    world.arrives(message(0, good=False))
    old = Verdict(SESSION, 0, Code.CORRUPT, 1, 1, 0, 0, 16_000, attempt=0)
    assert world.healing.corrupt(old, 0.0) == [], "of what is asked for already"
    world.healing.accept(message(0), 1, 0.0, 0)
    assert world.healing.corrupt(old, 0.0) == []
    assert world.window.judge(old, 0.0) == []
    world.judge([])
    assert world.codes == [Code.OK]


@settings(max_examples=200)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 40))
def test_whatever_the_line_does_the_recorder_hears_what_was_sent(seed: int, frames: int) -> None:
    """A client over a line that spoils, repeats and loses messages.

    The window is wider than the stream: who loses all that a client may have on its way leaves
    nothing that the server could miss.
    """
    rng = random.Random(seed)
    world = World(attempts=1_000, limit=64)
    sent, ended = 0, False
    pending: list[Resend] = []

    def line(raw: bytes, number: int) -> None:
        nonlocal pending
        fate = rng.randrange(8)
        arriving = {
            0: [message(number, good=False)],
            1: [b"garbage"],
            2: [],
            3: [raw, raw],
            4: [message(rng.randrange(frames + 5), good=False)],
        }.get(fate, [raw])
        for one in arriving:
            pending += world.arrives(one)

    for _ in range(20_000):
        if pending:
            ask = pending.pop(0)
            if ask.sequence >= sent:
                world.healing.not_sent(ask.sequence)
            else:
                line(mark_resent(message(ask.sequence), ask.attempt), ask.sequence)
        elif sent < frames:
            sent += 1
            line(message(sent - 1), sent - 1)
        elif sent == frames and not ended:
            ended = True
            pending += world.healing.end(frames, world.now_s, 0)
            world.judge([])
        elif world.window.judged < frames:
            pending += world.waits(1.1)
        else:
            break
    numbers = [label.number for _, _, raw in world.heard if (label := frame_label(raw))]
    assert numbers == list(range(frames))
    assert set(world.codes) == {Code.OK}
    assert world.window.next_seq == frames
    assert world.window.in_flight_bytes == 0
