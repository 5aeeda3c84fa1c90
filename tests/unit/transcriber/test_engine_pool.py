"""Engines share the work, may die or hang, and each sentence has one answer."""

from __future__ import annotations

import random

import pytest

from transcriber.engine_pool import MAX_ATTEMPTS, PENALTY_S, Answered, Asked, EnginePool, Hello
from transcriber.schedule import Kind


def hear(pool: EnginePool, now: float, **waits: float) -> None:
    for instance, wait_s in waits.items():
        pool.hear(Hello(instance, wait_s, 1), now)


@pytest.fixture
def pool() -> EnginePool:
    return EnginePool(silent_s=3)


def ask(pool: EnginePool, request: int, now: float = 0, kind: Kind = Kind.FINAL) -> str:
    pool.submit(request, kind, 2.0, now)
    (asked,) = pool.place(now) or [Asked(request, "")]
    return asked.instance


def test_the_engine_with_the_shortest_wait_is_asked(pool: EnginePool) -> None:
    hear(pool, 0, a=0.5, b=0.1)
    assert ask(pool, 1) == "b"
    assert ask(pool, 2) == "a", "what it was given counts at once, before it says so"
    hear(pool, 1, a=60, b=0.5)
    assert ask(pool, 3) == "b"


def test_the_wait_that_newcomers_are_judged_by_is_what_engines_measure(pool: EnginePool) -> None:
    """Not what a pool expects of one that has just begun and was asked a lot."""
    assert pool.wait_s(0) == 0
    hear(pool, 0, a=0.5, b=0.1)
    for request in range(20):
        ask(pool, request)
    assert pool.wait_s(0) == 0.1


def test_finals_that_no_engine_takes_wait_as_long_as_the_oldest_of_them(pool: EnginePool) -> None:
    assert ask(pool, 1, now=1) == ""
    assert ask(pool, 2, now=2) == ""
    assert pool.wait_s(5) == 4
    hear(pool, 5, a=0)
    pool.place(5)
    assert pool.wait_s(5) == 0


def test_without_an_engine_finals_wait_for_one(pool: EnginePool) -> None:
    assert ask(pool, 1) == ""
    assert ask(pool, 2) == ""
    hear(pool, 5, a=0)
    assert pool.place(5) == [Asked(1, "a"), Asked(2, "a")]
    assert pool.place(5) == []


def test_finals_of_a_silent_engine_are_asked_again_and_partials_dropped(pool: EnginePool) -> None:
    hear(pool, 0, a=0)
    ask(pool, 1)
    ask(pool, 2, kind=Kind.REALTIME)
    ask(pool, 3, kind=Kind.EARLY)
    hear(pool, 3, b=0)
    lost = pool.expire(3.5)
    assert (lost.again, lost.dropped, lost.gone) == ([1, 3], [2], ["a"])
    assert pool.place(3.5) == [Asked(1, "b"), Asked(3, "b")]


def test_only_the_first_answer_of_who_was_asked_counts(pool: EnginePool) -> None:
    hear(pool, 0, a=0, b=9)
    ask(pool, 1)
    assert not pool.answered(1, "b", 2).counts
    assert pool.answered(1, "a", 2) == Answered(True)
    assert not pool.answered(1, "a", 2).counts


def test_a_late_answer_counts_and_who_was_asked_instead_is_spared(pool: EnginePool) -> None:
    hear(pool, 0, a=0)
    ask(pool, 1)
    ask(pool, 2)
    assert pool.expire(3.5).gone == ["a"]
    assert pool.answered(2, "a", 3.6) == Answered(True), "nobody else has it yet"
    hear(pool, 4, b=0)
    assert pool.place(4) == [Asked(1, "b")]
    assert pool.answered(1, "a", 5) == Answered(True, spared="b")
    assert not pool.answered(1, "b", 6).counts


def test_who_was_too_busy_to_listen_takes_nobody_for_silent(pool: EnginePool) -> None:
    hear(pool, 0, a=0)
    assert not pool.expire(0.5).gone
    assert not pool.expire(30).gone, "half a minute in which this process had no time"
    assert not pool.expire(31).gone
    assert pool.expire(32).gone == ["a"]


def test_how_long_others_waited_is_not_how_slow_an_engine_is(pool: EnginePool) -> None:
    """Or the deadline of one that hangs would be far off wherever much had to be done once."""

    def deadline_s(wait_s: float, took_s: float) -> float:
        pool = EnginePool(silent_s=3)
        hear(pool, 0, a=wait_s)
        ask(pool, 1)
        assert pool.answered(1, "a", took_s).counts
        hear(pool, took_s, a=0)
        ask(pool, 2, took_s)
        now = took_s
        while not pool.expire(now).hung:
            now += 0.5
            hear(pool, now, a=0)
        return now - took_s

    assert deadline_s(20, 21) == deadline_s(0, 1) < 20 < deadline_s(0, 21)


def test_an_engine_that_hangs_is_given_up_by_deadline_and_avoided_for_a_while(
    pool: EnginePool,
) -> None:
    hear(pool, 0, a=0)
    ask(pool, 1)
    for now in range(1, 60):
        hear(pool, now, a=0)
        lost = pool.expire(now)
        if lost.hung:
            break
    assert lost.hung == ["a"]
    assert lost.again == [1]
    assert now < 20
    assert pool.place(now) == [], "there is no other, and it is not asked again at once"
    hear(pool, now, b=0)
    assert pool.place(now) == [Asked(1, "b")]
    pool.lose("b")
    hear(pool, now + PENALTY_S, a=0)
    assert pool.place(now + PENALTY_S) == [Asked(1, "a")]


def test_a_partial_that_waits_does_not_make_its_engine_hang(pool: EnginePool) -> None:
    hear(pool, 0, a=0)
    ask(pool, 1, kind=Kind.REALTIME)
    for now in range(1, 60):
        hear(pool, now, a=0)
        assert not pool.expire(now).hung


def test_a_final_that_engines_die_of_fails_at_last(pool: EnginePool) -> None:
    pool.submit(1, Kind.FINAL, 2.0, 0)
    for number in range(MAX_ATTEMPTS):
        hear(pool, number, **{f"e{number}": 0})
        assert len(pool.place(number)) == 1
        lost = pool.lose(f"e{number}")
    assert lost.failed == [1]
    assert pool.waiting() == (0, 0)


def test_what_is_withdrawn_is_told_to_who_has_it(pool: EnginePool) -> None:
    hear(pool, 0, a=0)
    ask(pool, 1)
    assert pool.withdraw(1) == "a"
    assert pool.withdraw(1) == ""
    assert not pool.answered(1, "a", 1).counts
    assert pool.wait_s(1) == 0


def test_an_early_request_is_promoted_once(pool: EnginePool) -> None:
    hear(pool, 0, a=0)
    ask(pool, 1, kind=Kind.EARLY)
    assert pool.promote(1) == "a"
    assert pool.promote(1) == ""


def test_whatever_dies_each_final_is_answered_once() -> None:
    """A thousand random deaths, hellos, answers and requests."""
    chance = random.Random(5)
    pool = EnginePool(silent_s=3)
    has: dict[int, str] = {}
    answers: dict[int, int] = {}
    now = 0.0
    for number in range(3_000):
        now += chance.random() * 0.2
        name = f"e{chance.randrange(3)}"
        match chance.randrange(5):
            case 0 | 1:
                pool.hear(Hello(name, chance.random(), 1), now)
            case 2:
                pool.submit(number, Kind.FINAL, 1.0, now)
                answers[number] = 0
            case 3 if chance.random() < 0.1:
                pool.lose(name)
            case _:
                for request, instance in list(has.items())[:3]:
                    answers[request] += pool.answered(request, instance, now).counts
                    del has[request]
        for failed in pool.expire(now).failed:
            answers.pop(failed)
        has.update({asked.request: asked.instance for asked in pool.place(now)})
    assert len(answers) > 400
    for _ in range(50):
        now += 1
        pool.hear(Hello("last", 0, 1), now)
        pool.expire(now)
        has.update({asked.request: asked.instance for asked in pool.place(now)})
        for request, instance in list(has.items()):
            answers[request] = (
                answers.get(request, 0) + pool.answered(request, instance, now).counts
            )
            del has[request]
    assert set(answers.values()) <= {0, 1}
    assert sum(answers.values()) > 0.9 * len(answers)
