from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common.client.buffer import WHOLE, ResendBuffer, Resumption, Within, backoff_s
from common.client.errors import UnexpectedServerError
from common.wire import Metadata, build_message, mark_resent

LIMIT = 64
FRAME_BYTES = 8


def frame(number: int) -> bytes:
    return number.to_bytes(FRAME_BYTES, "little")


def filled(frames: int, *, sent: int, acknowledged: bool = True) -> ResendBuffer:
    buffer = ResendBuffer(1 << 20, acknowledged=acknowledged)
    buffer.connected(0, 0, resumed=False)
    for number in range(frames):
        assert buffer.append(frame(number)) == number
    for number in range(sent):
        assert buffer.take() == frame(number)
    return buffer


def rest(buffer: ResendBuffer) -> list[int]:
    numbers = []
    while (message := buffer.take()) is not None:
        numbers.append(int.from_bytes(message, "little"))
    return numbers


def test_frames_go_out_in_order_and_once() -> None:
    assert rest(filled(5, sent=2)) == [2, 3, 4]


def marked(number: int) -> bytes:
    return build_message(Metadata(sample_rate=16_000, audio_sequence=number), b"")


def test_what_is_asked_for_goes_out_first_and_marked() -> None:
    buffer = ResendBuffer(1 << 20)
    buffer.connected(0, 0, resumed=False)
    for number in range(4):
        buffer.append(marked(number))
    for _ in range(3):
        buffer.take()
    assert buffer.ask_again(0, 1)
    assert buffer.ask_again(2, 1)
    assert buffer.ask_again(0, 2), "the latest request is answered"
    assert not buffer.ask_again(3, 1), "it was not sent yet"
    assert [buffer.take() for _ in range(4)] == [
        mark_resent(marked(0), 2),
        mark_resent(marked(2), 1),
        marked(3),
        None,
    ]
    buffer.acknowledge(1, 1)
    assert buffer.ask_again(0, 3)
    assert buffer.take() is None, "it is not held any more"


def test_no_more_are_on_their_way_than_a_server_reads_before_answers() -> None:
    buffer = filled(5, sent=0)
    buffer.window = 2
    assert rest(buffer) == [0, 1]
    assert buffer.unsent == 3
    buffer.acknowledge(1, 0)
    assert rest(buffer) == [2]
    buffer.window = None
    assert rest(buffer) == [3, 4]


def test_a_fault_of_the_line_can_be_shown_once() -> None:
    buffer = ResendBuffer(1 << 20)
    buffer.connected(0, 0, resumed=False)
    buffer.append(marked(0), b"damaged")
    assert buffer.first_number == 0
    assert buffer.take() == b"damaged"
    buffer.ask_again(0, 1)
    assert buffer.take() == mark_resent(marked(0), 1)


def test_committed_frames_are_forgotten() -> None:
    buffer = filled(5, sent=5)
    buffer.acknowledge(4, 3)
    assert buffer.held_bytes == 2 * FRAME_BYTES
    assert buffer.progress == (4, 3)


def test_an_acknowledgement_of_frames_never_sent_forgets_nothing_unsent() -> None:
    buffer = filled(5, sent=2)
    buffer.acknowledge(99, 99)
    assert rest(buffer) == [2, 3, 4]


def test_a_resumed_session_goes_on_with_the_frame_that_the_server_wants() -> None:
    buffer = filled(6, sent=5)
    assert buffer.connected(3, 1, resumed=True) == Resumption(resent=2, lost=0)
    assert rest(buffer) == [3, 4, 5]


def test_a_new_session_starts_with_everything_uncommitted_and_numbers_it_from_0() -> None:
    buffer = filled(6, sent=5)
    buffer.acknowledge(4, 2)
    assert buffer.connected(0, 0, resumed=False) == Resumption(resent=3, lost=0)
    assert buffer.number_of(0) == 2
    assert rest(buffer) == [2, 3, 4, 5]
    buffer.acknowledge(2, 1)  # the new session's numbers
    assert buffer.progress == (4, 3)
    assert buffer.connected(2, 1, resumed=True) == Resumption(resent=2, lost=0)
    assert rest(buffer) == [4, 5]


def test_evicted_frames_are_reported_lost_when_the_session_is() -> None:
    buffer = ResendBuffer(4 * FRAME_BYTES)
    buffer.connected(0, 0, resumed=False)
    for number in range(4):
        buffer.append(frame(number))
        buffer.take()
    assert not buffer.has_room(FRAME_BYTES)
    assert buffer.evict_received(FRAME_BYTES) == 0
    buffer.acknowledge(2, 0)
    assert buffer.evict_received(FRAME_BYTES) == 1
    assert buffer.has_room(FRAME_BYTES)
    assert buffer.connected(0, 0, resumed=False) == Resumption(resent=3, lost=1)
    assert rest(buffer) == [1, 2, 3]


def test_a_server_that_wants_evicted_frames_gets_what_is_held_and_numbers_stay_right() -> None:
    buffer = ResendBuffer(2 * FRAME_BYTES)
    buffer.connected(0, 0, resumed=False)
    for number in range(2):
        buffer.append(frame(number))
        buffer.take()
    buffer.acknowledge(2, 0)
    buffer.evict_received(FRAME_BYTES)
    assert buffer.connected(0, 0, resumed=True) == Resumption(resent=1, lost=1)
    assert rest(buffer) == [1]
    assert buffer.number_of(0) == 1


def test_a_session_of_another_stream_is_taken_up_where_it_stands() -> None:
    buffer = ResendBuffer(1 << 20)
    buffer.connected(500, 480, resumed=True)
    buffer.append(frame(0))
    assert rest(buffer) == [0]
    assert buffer.number_of(500) == 0


def test_a_server_that_wants_a_frame_that_never_was_is_refused() -> None:
    with pytest.raises(UnexpectedServerError, match="frame 7 of a stream of 3"):
        filled(3, sent=3).connected(7, 0, resumed=True)


def test_without_acknowledgements_a_frame_is_let_go_of_as_it_is_sent() -> None:
    buffer = filled(4, sent=3, acknowledged=False)
    assert buffer.held_bytes == FRAME_BYTES
    assert rest(buffer) == [3]


def test_one_frame_larger_than_the_bound_still_fits() -> None:
    buffer = ResendBuffer(4)
    assert buffer.has_room(100)
    buffer.append(bytes(100))
    assert not buffer.has_room(1)


@pytest.mark.parametrize("attempt", [0, 1, 3, 10, 1000])
def test_backoff_grows_and_stays_within_its_bound(attempt: int) -> None:
    whole = min(5.0, 0.2 * 2.0 ** min(attempt, 30))
    assert backoff_s(attempt, 0.0) == whole / 2
    assert backoff_s(attempt, 1.0) == whole


class LosingLine(RuleBasedStateMachine):
    """A client, and servers that lose connections and, when they restart, whole sessions."""

    @initialize()
    def start(self) -> None:
        self.buffer = ResendBuffer(LIMIT * FRAME_BYTES)
        self.line: list[int] = []  # sent, not arrived yet
        self.session: list[int] = []  # arrived in the session that the server knows
        self.delivered: list[int] = []  # committed by sessions before this one
        self.committed = 0
        self.announced = 0  # the commit that the client was told of
        self.made = 0
        self._connect(resumed=False)

    def _connect(self, *, resumed: bool) -> None:
        lost = self.buffer.connected(len(self.session), self.committed, resumed=resumed).lost
        assert lost == 0
        self.announced = self.committed

    @rule()
    def append(self) -> None:
        if self.buffer.has_room(FRAME_BYTES):
            assert self.buffer.append(frame(self.made)) == self.made
            self.made += 1

    @rule(count=st.integers(1, 20))
    def send(self, count: int) -> None:
        for _ in range(count):
            message = self.buffer.take()
            if message is None:
                break
            self.line.append(int.from_bytes(message, "little"))

    @rule(count=st.integers(1, 20))
    def arrive(self, count: int) -> None:
        self.session += self.line[:count]
        del self.line[:count]

    @rule(part=st.floats(0, 1))
    def commit(self, part: float) -> None:
        self.committed += int((len(self.session) - self.committed) * part)

    @rule()
    def acknowledge(self) -> None:
        self.buffer.acknowledge(len(self.session), self.committed)
        self.announced = self.committed

    @rule()
    def connection_breaks_and_the_session_is_resumed(self) -> None:
        self.line.clear()
        self._connect(resumed=True)

    @rule()
    def server_restarts_without_the_session(self) -> None:
        self.line.clear()
        self.delivered += self.session[: self.announced]
        self.session = []
        self.committed = self.announced = 0
        self._connect(resumed=False)

    @invariant()
    def nothing_is_lost_doubled_or_out_of_order(self) -> None:
        arrived = self.delivered + self.session
        assert arrived == list(range(len(arrived)))
        assert self.buffer.number_of(len(self.session)) == len(arrived)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.buffer.held_bytes <= LIMIT * FRAME_BYTES

    def teardown(self) -> None:
        """With no more faults, everything arrives."""
        if not hasattr(self, "buffer"):
            return
        self.send(self.made + 1)
        self.arrive(len(self.line))
        assert self.delivered + self.session == list(range(self.made))


TestLosingLine = LosingLine.TestCase


def sent(frames: int, **options: int) -> ResendBuffer:
    buffer = ResendBuffer(options.get("max_bytes", 1000))
    for number in range(frames):
        buffer.append(bytes([number]) * 10)
        buffer.take()
    return buffer


def test_another_server_is_told_where_in_the_first_frame_to_begin() -> None:
    buffer = sent(5)
    buffer.acknowledge(5, 2, Within(100, 0, 900))
    buffer.acknowledge(5, 2, Within(300, 0, 1100))  # further in the same frame
    buffer.acknowledge(5, 2, Within(200, 0, 1000))  # an old one, late
    assert buffer.begin_within == Within(300, 0, 1100)
    buffer.connected(0, 0, Within(300, 0, 1100), resumed=False)
    assert buffer.begin_within == Within(300, 0, 1100)  # and the next, if that one dies too
    assert buffer.take() == bytes([2]) * 10
    buffer.acknowledge(1, 1, Within(7, 0, 1500))
    assert buffer.begin_within == Within(7, 0, 1500)


def test_a_commit_of_whole_frames_leaves_nothing_out() -> None:
    buffer = sent(5)
    buffer.acknowledge(5, 2, Within(100, 0, 900))
    buffer.acknowledge(5, 5)
    assert buffer.begin_within == WHOLE


def test_where_the_first_frame_was_let_go_of_the_next_one_begins_whole() -> None:
    buffer = sent(10, max_bytes=100)
    buffer.acknowledge(8, 2, Within(100, 0, 900))
    assert buffer.evict_received(30) == 1
    assert buffer.begin_within == WHOLE
    assert buffer.connected(0, 0, resumed=False).lost == 1
