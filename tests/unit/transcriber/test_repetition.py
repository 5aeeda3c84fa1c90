"""What may have been lost is told again, more seldom the longer nothing changes."""

from __future__ import annotations

from transcriber.repetition import LATE_BEATS, Repetition


def test_a_session_that_does_not_change_is_due_more_and_more_seldom() -> None:
    repetition: Repetition[str] = Repetition()
    repetition.changed("a")
    due = [beat for beat in range(3 * LATE_BEATS + 1) if list(repetition.beat())]
    assert due == [1, 2, 4, 8, 16, 24]


def test_one_that_speaks_is_never_due() -> None:
    repetition: Repetition[str] = Repetition()
    for _ in range(100):
        repetition.changed("a")
        assert not list(repetition.beat())


def test_a_change_begins_anew() -> None:
    repetition: Repetition[str] = Repetition()
    repetition.changed("a")
    for _ in range(20):
        list(repetition.beat())
    repetition.changed("a")
    assert [list(repetition.beat()) for _ in range(3)] == [[], ["a"], ["a"]]


def test_what_is_gone_is_forgotten() -> None:
    repetition: Repetition[str] = Repetition()
    repetition.changed("a")
    repetition.changed("b")
    repetition.forget("a")
    repetition.forget("a")
    assert [list(repetition.beat()) for _ in range(2)] == [[], ["b"]]
