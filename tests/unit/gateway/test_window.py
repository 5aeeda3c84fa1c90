"""The gateway's window: what is in flight, what is due again, what is kept."""

from __future__ import annotations

import pytest

from common.envelope import Ack, Code, Commit, Verdict
from gateway.retransmission import RetransmissionTimer
from gateway.window import OVERHEAD_BYTES, Window

SESSION = b"s" * 16


def window(limit: int = 4, limit_bytes: int = 1 << 20) -> Window:
    return Window(limit, limit_bytes, RetransmissionTimer(0.25, 4.0))


def verdict(seq: int) -> Verdict:
    return Verdict(SESSION, seq, Code.OK, 100, 100, 0, 0, sample_rate_hz=16_000)


def ack(
    received: int, held_below: int = 0, gaps: tuple[int, ...] = (), commit: Commit | None = None
) -> Ack:
    return Ack(SESSION, received, max(held_below, received), list(gaps), commit or Commit(0, 0, 0))


def send_all(win: Window, now_s: float = 0.0) -> list[int]:
    sent = []
    while (seq := win.to_send()) is not None:
        win.sent(seq, now_s)
        sent.append(seq)
    return sent


def filled(count: int, limit: int = 4) -> Window:
    win = window(limit)
    for number in range(count):
        win.accept(bytes([number]) * 10, 0.0, 0)
    return win


def test_window_is_full_at_its_limit_and_opens_with_ack_and_verdict() -> None:
    win = filled(4)
    send_all(win)
    assert win.full
    win.acknowledge(ack(1))
    assert win.full, "what has no verdict is kept, and so must be bounded"
    win.judge(verdict(0), 0.1)
    assert not win.full


def test_frame_without_progress_is_sent_again_after_its_timeout() -> None:
    win = filled(2)
    assert send_all(win) == [0, 1]
    assert not win.expire(0.2)
    assert win.expire(0.3)
    assert send_all(win, 0.3) == [0, 1]
    assert win.retransmissions == 2


def test_frame_that_the_transcriber_holds_is_not_sent_again() -> None:
    win = filled(3)
    send_all(win)
    for seq in range(3):
        win.judge(verdict(seq), 0.0)
    win.acknowledge(ack(0, held_below=3, gaps=(0,)))
    win.expire(1.0)
    assert send_all(win, 1.0) == [0]


def test_frame_whose_verdict_is_missing_is_sent_again_though_it_was_fed() -> None:
    win = filled(2)
    send_all(win)
    win.judge(verdict(0), 0.0)
    win.acknowledge(ack(2, commit=Commit(2, 0, 200)))
    win.expire(1.0)
    assert send_all(win, 1.0) == [1]
    assert [v.seq for _, v in win.judge(verdict(1), 1.0)] == [1]
    assert win.quiet
    assert win.account.bytes == 0


def is_full(win: Window) -> bool:
    return win.full


def test_bytes_in_flight_fill_the_window_too() -> None:
    win = window(limit=64, limit_bytes=1000)
    for number in range(2):
        assert not is_full(win)
        win.accept(bytes(400), 0.0, number)
    assert is_full(win)
    send_all(win)
    win.judge(verdict(0), 0.0)
    assert is_full(win), "it was not fed yet"
    win.acknowledge(ack(1))
    assert not is_full(win)
    win.reopen()
    assert is_full(win), "it is to be fed again"


def test_frames_without_samples_do_not_come_for_free() -> None:
    win = window(limit=64)
    win.accept(b"", 0.0, 0)
    assert win.account.bytes > 0


def test_verdicts_are_taken_in_order_of_frames() -> None:
    win = filled(3)
    send_all(win)
    assert win.judge(verdict(2), 0.0) == []
    assert win.judge(verdict(1), 0.0) == []
    assert [v.seq for _, v in win.judge(verdict(0), 0.0)] == [0, 1, 2]


def test_repeated_verdict_counts_once() -> None:
    win = filled(1)
    send_all(win)
    assert len(win.judge(verdict(0), 0.0)) == 1
    assert win.judge(verdict(0), 0.0) == []


def test_a_second_verdict_tells_that_the_frame_had_only_been_late() -> None:
    """So the timeout grows, though of frames that are sent twice nothing else is measured."""
    win = filled(1)
    send_all(win)
    win.expire(0.5)
    assert send_all(win, 0.5) == [0]
    win.judge(verdict(0), 0.7)
    assert win.timer.timeout_s(1) == 0.25, "perhaps it is the second that came"
    for at_s in (0.9, 3.0):
        win.judge(verdict(0), at_s)
        assert win.timer.timeout_s(1) == pytest.approx(3 * 0.7), "measured once"


@pytest.mark.parametrize("seq", [1, 99])
def test_verdict_for_a_frame_that_was_not_sent_is_ignored(seq: int) -> None:
    win = filled(2)
    win.sent(0, 0.0)
    assert win.judge(verdict(seq), 0.0) == []


def test_ack_beyond_what_was_accepted_is_ignored() -> None:
    win = filled(2)
    send_all(win)
    assert not win.acknowledge(ack(50))
    assert win.fed == 0


def test_reopen_replays_from_the_commit() -> None:
    win = filled(4, limit=8)
    send_all(win)
    for seq in range(4):
        win.judge(verdict(seq), 0.0)
    win.acknowledge(ack(4, commit=Commit(2, 30, 230)))
    assert win.reopen() == 2
    assert win.replay_start == Commit(2, 30, 230)
    assert send_all(win) == [2, 3]


def test_replay_sends_no_more_than_a_window_ahead() -> None:
    win = window(2)
    for number in range(6):
        win.accept(b"x", 0.0, 0)
        send_all(win)
        win.acknowledge(ack(number + 1))
    win.reopen()
    assert send_all(win) == [0, 1]
    win.acknowledge(ack(1))
    assert send_all(win) == [2]


def test_giving_up_the_oldest_moves_the_start_of_a_replay() -> None:
    win = filled(4, limit=8)
    send_all(win)
    for seq in range(4):
        win.judge(verdict(seq), 0.0)
    win.acknowledge(ack(4))
    two = 2 * (10 + OVERHEAD_BYTES)
    assert win.give_up_oldest(two) == 2
    assert win.account.bytes == two
    assert win.replay_start == Commit(2, 0, 200)


def test_frames_on_their_way_are_never_given_up() -> None:
    win = filled(4, limit=8)
    send_all(win)
    assert win.give_up_oldest(0) == 0


def test_a_judged_frame_waits_as_long_as_its_transcriber_is_known_to_take() -> None:
    win, fed_timer = filled(2), RetransmissionTimer(0.25, 4.0)
    for _ in range(20):
        fed_timer.measured(1.0, 0.0)
    send_all(win)
    win.judge(verdict(0), 0.1)
    assert win.expire(0.5, fed_timer), "frame 1 has no verdict"
    assert send_all(win, 0.5) == [1]
    win.judge(verdict(1), 0.6)
    assert not win.expire(0.9, fed_timer), "its acknowledgement is not due yet"
    assert win.expire(4.6, fed_timer)


def test_late_acknowledgements_are_learnt_from_until_nothing_is_sent_twice() -> None:
    """As in a transcriber whose loop is busy: verdicts at once, acknowledgements after 0.8 s."""
    win, fed_timer = window(64), RetransmissionTimer(0.25, 4.0)
    resent = []
    for number in range(40):
        now_s = number * 1.0
        win.accept(b"frame", now_s, 0)
        for tick in range(8):
            at_s = now_s + tick * 0.1
            win.expire(at_s, fed_timer)
            sent = send_all(win, at_s)
            resent += [number] if sent and tick else []
            for seq in sent:
                win.judge(verdict(seq), at_s)
        win.acknowledge(ack(number + 1), now_s + 0.8, fed_timer)
    assert resent, "nothing is known at first"
    assert max(resent) < 3


def test_a_frame_that_may_have_been_lost_once_teaches_nothing() -> None:
    win, fed_timer = filled(1), RetransmissionTimer(0.25, 4.0)
    send_all(win)
    win.expire(0.5, fed_timer)
    send_all(win, 0.5)
    win.judge(verdict(0), 3.0)
    win.acknowledge(ack(1), 3.0, fed_timer)
    assert fed_timer.timeout_s(1) == 0.25


# -- frames that are asked for again --------------------------------------------------------------


def awaiting(window: Window, count: int) -> None:
    """So many frames were sent, the first of them is asked for again."""
    for seq in range(count):
        window.accept(b"message", 0.0, 0)
        window.sent(seq, 0.0)
    window.await_again(0)


def of_version(seq: int, attempt: int) -> Verdict:
    return Verdict(bytes(16), seq, Code.OK, 4, 4, 0, 0, 16_000, attempt=attempt)


def test_an_awaited_frame_is_neither_sent_nor_due_until_the_answer_came() -> None:
    window = Window(4, 1 << 20, RetransmissionTimer(0.25, 4.0))
    awaiting(window, 2)
    window.judge(of_version(1, 0), 0.0)
    assert window.expire(100.0) is True, "the other one has not reached its recorder"
    assert [window.to_send()] == [1]
    window.sent(1, 100.0)
    assert window.to_send() is None
    window.refill(0, b"a longer message", 101.0, 7)
    assert window.to_send() == 0
    window.sent(0, 101.0)
    assert window.judge(of_version(0, 0), 101.0) == [], "of the message that was replaced"
    assert [verdict.seq for _, verdict in window.judge(of_version(0, 1), 101.0)] == [0, 1]
    assert window.retransmissions == 1, "an answer is none"


def test_what_is_settled_for_is_sent_once_more() -> None:
    window = Window(4, 1 << 20, RetransmissionTimer(0.25, 4.0))
    awaiting(window, 1)
    window.settle_for(0)
    assert window.to_send() == 0
    frame = window.sent(0, 0.0)
    assert frame.final
    assert not frame.is_missing
    assert window.to_send() is None


def test_places_are_kept_for_frames_that_did_not_come_and_skipped_meanwhile() -> None:
    window = Window(4, 1 << 20, RetransmissionTimer(0.25, 4.0))
    window.expect(b"", 0.0, 0)
    window.accept(b"message", 0.0, 0)
    assert window.to_send() == 1
    window.sent(1, 0.0)
    window.refill(0, b"message", 0.0, 7)
    assert window.to_send() == 0
    window.sent(0, 0.0)
    window.reopen()
    assert [window.to_send()] == [0]


def test_there_is_room_for_answers_behind_a_full_window() -> None:
    window = Window(4, 1 << 20, RetransmissionTimer(0.25, 4.0))
    awaiting(window, 4)
    assert window.in_flight == window.limit
    assert not window.full
    for _ in range(4):
        window.accept(b"message", 0.0, 0)
    assert window.full


def test_places_of_frames_that_never_were_are_given_up() -> None:
    window = Window(4, 1 << 20, RetransmissionTimer(0.25, 4.0))
    window.accept(b"message", 0.0, 0)
    window.sent(0, 0.0)
    kept = window.account.bytes
    for _ in range(2):
        window.expect(b"", 0.0, 0)
    assert window.to_send() is None
    window.truncate(1)
    assert (window.next_seq, window.unsent, window.account.bytes) == (1, 1, kept)
    window.judge(of_version(0, 0), 0.0)
    window.truncate(0)
    assert window.next_seq == 1, "what was judged was there"


def test_a_frame_that_was_damaged_in_here_is_as_one_that_never_came() -> None:
    window = Window(4, 1 << 20, RetransmissionTimer(0.25, 4.0))
    for seq in range(2):
        window.accept(b"message", 0.0, 0, 7)
        window.sent(seq, 0.0)
    before = window.account.bytes
    window.lose(0)
    frame = window.frame(0)
    assert frame is not None
    assert frame.is_missing
    assert before - window.account.bytes == len(b"message")
    window.judge(of_version(0, 0), 0.0)
    window.judge(of_version(1, 0), 0.0)
    window.acknowledge(Ack(SESSION, 2, 2, [], Commit(2, 0, 8)))
    assert (window.account.bytes, window.in_flight_bytes) == (0, 0)
