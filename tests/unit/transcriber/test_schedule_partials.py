"""How much of an engine's time partials have, and whose."""

from __future__ import annotations

from tests.unit.transcriber.schedules import make
from transcriber.schedule import Dropped, Kind


def test_partials_leave_more_time_the_more_finals_there_are() -> None:
    def pause_s(finals: int) -> float:
        schedule = make(realtime_share=1.0)
        now = 0.0
        for number in range(finals):
            schedule.submit("f", Kind.FINAL, str(number), now, audio_s=2)
            batch = schedule.take(now)
            assert batch is not None
            now += 0.5
            schedule.finish(batch, now)
            now += 0.1
        schedule.submit("p", Kind.REALTIME, "p", now)
        batch = schedule.take(now)
        assert batch is not None
        now += 0.4
        schedule.finish(batch, now)
        schedule.submit("p", Kind.REALTIME, "p", now)
        if schedule.take(now) is not None:
            return 0.0
        after_s = schedule.next_change_s(now)
        assert after_s is not None
        return after_s - now

    assert pause_s(0) == 0
    assert 0 < pause_s(2) < pause_s(4) < pause_s(8) < 10 * 0.4


def test_a_call_of_partials_is_never_long() -> None:
    """A final that comes meanwhile waits for its end."""
    schedule = make(max_batch=16)
    now, size = 0.0, 0
    for _ in range(20):
        for session in range(16):
            schedule.submit(str(session), Kind.REALTIME, "p", now)
        batch = schedule.take(now)
        assert batch is not None
        size = len(batch.jobs)
        now += 0.1 * size
        schedule.finish(batch, now)
        schedule.expire(now + 5)
    assert size == 2


def partials_run(speaking_s: dict[str, float], finals: float = 0.0) -> dict[str, int]:
    """Partials by session in 60 s, in each of which somebody has spoken for so long.

    A call takes a tenth of its audio, and ``finals`` of the time go to finals.
    """
    schedule = make(max_partial_cost_s=2.0)
    counts = dict.fromkeys(speaking_s, 0)
    now = 0.0
    while now < 60:
        schedule.submit("final", Kind.FINAL, "", now, audio_s=finals)
        for session, audio_s in speaking_s.items():
            schedule.submit(session, Kind.REALTIME, session, now, audio_s)
        until = now + 1.0
        while now < until and (batch := schedule.take(now)) is not None:
            audio_s = sum(job.audio_s for job in batch.jobs)
            now += audio_s if batch.kind is Kind.FINAL else audio_s / 10
            schedule.finish(batch, now)
            if batch.kind is Kind.REALTIME:
                (job,) = batch.jobs
                counts[job.payload] += 1
                schedule.submit(job.session, Kind.REALTIME, job.payload, now, job.audio_s)
        now = max(now, min(until, schedule.next_change_s(now) or until))
        schedule.expire(now)
    return counts


def test_who_speaks_for_long_has_fewer_partials_and_takes_none_from_others() -> None:
    alone = partials_run({"short": 1, "other": 1})
    beside = partials_run({"short": 1, "long": 10})
    assert beside["short"] >= 0.8 * alone["short"]
    assert 0 < beside["long"] <= beside["short"] / 5


def test_all_have_fewer_partials_the_more_finals_there_are_and_long_ones_none() -> None:
    few, many = (partials_run({"short": 1, "long": 15}, finals) for finals in (0.0, 0.7))
    assert 0 < many["short"] < few["short"] / 2
    assert few["long"] > 0
    assert many["long"] <= 1, "the first, before it is known what it costs"


def test_a_partial_that_did_not_run_tells_why() -> None:
    schedule = make(max_partial_cost_s=0.5)

    def run(audio_s: float, now: float) -> float:
        schedule.submit("a", Kind.REALTIME, "ran", now, audio_s)
        batch = schedule.take(now)
        assert batch is not None
        schedule.finish(batch, now + audio_s / 10)
        return now + audio_s / 10

    now = run(1, 0)
    schedule.submit("a", Kind.REALTIME, "dear", now, 20)
    assert schedule.take(now) is None
    assert [why for _, why in schedule.expire(now + 1)] == [Dropped.COST]
    now = run(1, now + 1)
    schedule.submit("b", Kind.REALTIME, "b", now, 1)
    schedule.submit("a", Kind.REALTIME, "a", now, 4)
    final = schedule.submit("c", Kind.FINAL, "c", now)
    running = schedule.take(now)
    assert running is not None
    assert running.jobs == [final.job]
    expired = schedule.expire(now + 1)
    assert {job.payload: why for job, why in expired} == {"a": Dropped.LATE, "b": Dropped.LATE}
