"""Fair sending: one frame of each session in turn."""

from __future__ import annotations

from gateway.dispatch import FairQueue


def send(queue: FairQueue[str], most: int, **frames: int) -> str:
    """Who sends, while each has so many frames, until so many are sent."""
    sent = ""
    while len(sent) < most and (session := queue.next()) is not None:
        if not frames.get(session):
            continue
        frames[session] -= 1
        sent += session
        if frames[session]:
            queue.add(session)
    return sent


def queue_of(sessions: str) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for session in sessions:
        queue.add(session)
    return queue


def test_sessions_take_turns_whatever_each_has() -> None:
    queue = queue_of("abc")
    assert send(queue, 100, a=4, b=1, c=2) == "abcacaa"
    assert len(queue) == 0


def test_who_was_next_is_next_when_there_is_room_again() -> None:
    queue = queue_of("ab")
    assert send(queue, 3, a=2, b=2) == "aba"
    assert send(queue, 10, b=1) == "b"


def test_a_session_that_is_queued_keeps_its_turn() -> None:
    queue = queue_of("ab")
    queue.add("a")
    assert send(queue, 10, a=1, b=1) == "ab"


def test_who_has_nothing_to_send_is_passed_over() -> None:
    assert send(queue_of("ab"), 10, b=1) == "b"


def test_a_removed_session_sends_nothing_more() -> None:
    queue = queue_of("ab")
    assert send(queue, 1, a=2, b=1) == "a"
    queue.remove("a")
    assert send(queue, 10, a=1, b=1) == "b"
