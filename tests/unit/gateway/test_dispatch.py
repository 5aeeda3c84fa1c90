"""Fair sending: one frame of each session in turn."""

from __future__ import annotations

from gateway.dispatch import FairQueue


class Link:
    """A link with room for a number of frames, and sessions with frames to send."""

    def __init__(self, room: int, **frames: int) -> None:
        self.room = room
        self.frames = frames
        self.sent: list[str] = []

    def send_one(self, session: str) -> bool | None:
        if not self.frames.get(session):
            return None
        if not self.room:
            return False
        self.room -= 1
        self.frames[session] -= 1
        self.sent.append(session)
        return True


def test_sessions_take_turns_whatever_each_has() -> None:
    link = Link(100, a=4, b=1, c=2)
    queue: FairQueue[str] = FairQueue(link.send_one)
    for session in "abc":
        queue.add(session)
    queue.pump()
    assert "".join(link.sent) == "abcacaa"
    assert len(queue) == 0


def test_a_full_link_keeps_the_turn_of_who_was_next() -> None:
    link = Link(3, a=2, b=2)
    queue: FairQueue[str] = FairQueue(link.send_one)
    queue.add("a")
    queue.add("b")
    queue.pump()
    assert "".join(link.sent) == "aba"
    link.room = 10
    queue.pump()
    assert "".join(link.sent) == "abab"


def test_a_removed_session_sends_nothing_more() -> None:
    link = Link(1, a=2, b=1)
    queue: FairQueue[str] = FairQueue(link.send_one)
    queue.add("a")
    queue.add("b")
    queue.pump()
    queue.remove("a")
    link.room = 10
    queue.pump()
    assert link.sent == ["a", "b"]
