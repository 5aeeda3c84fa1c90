"""Which requests go to an engine next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transcriber.schedules import make, texts
from transcriber.schedule import Batch, Dropped, Kind, QueueFullError


def test_finals_run_before_partials() -> None:
    schedule = make()
    schedule.submit("a", Kind.REALTIME, "partial", 0)
    schedule.submit("b", Kind.FINAL, "final", 1)
    batch = schedule.take(1)
    assert texts(batch) == ["final"]
    assert batch is not None
    schedule.finish(batch, 1)
    assert texts(schedule.take(0.5)) == ["partial"]


def test_sessions_take_turns() -> None:
    schedule = make()
    for number in range(3):
        schedule.submit("busy", Kind.FINAL, f"busy {number}", 0)
    schedule.submit("other", Kind.FINAL, "other", 0)
    order = []
    while (batch := schedule.take(0)) is not None:
        order += texts(batch)
        schedule.finish(batch, 0)
    assert order == ["busy 0", "other", "busy 1", "busy 2"]


def test_a_batch_takes_one_of_each_session_first() -> None:
    schedule = make(max_batch=3)
    for number in range(3):
        schedule.submit("busy", Kind.FINAL, f"busy {number}", 0)
    schedule.submit("other", Kind.FINAL, "other", 0)
    assert texts(schedule.take(0)) == ["busy 0", "other", "busy 1"]


def test_the_latest_partial_of_a_session_wins_and_keeps_its_turn() -> None:
    schedule = make(max_batch=4)
    schedule.submit("a", Kind.REALTIME, "a old", 0)
    schedule.submit("b", Kind.REALTIME, "b", 0)
    submission = schedule.submit("a", Kind.REALTIME, "a new", 0.1)
    assert submission.superseded is not None
    assert submission.superseded.payload == "a old"
    assert texts(schedule.take(0.2)) == ["a new", "b"]


def test_a_partial_is_dropped_at_its_deadline() -> None:
    schedule = make(realtime_deadline_s=1)
    schedule.submit("a", Kind.REALTIME, "a", 0)
    assert schedule.expire(0.9) == []
    assert schedule.next_change_s(0.9) == 1
    assert [(job.payload, why) for job, why in schedule.expire(1)] == [("a", Dropped.LATE)]
    assert schedule.take(1) is None


def test_partials_take_no_more_than_their_share() -> None:
    schedule = make(realtime_share=0.25, realtime_deadline_s=10)
    schedule.submit("a", Kind.REALTIME, "first", 0)
    batch = schedule.take(0)
    assert batch is not None
    schedule.finish(batch, 1)
    schedule.submit("a", Kind.REALTIME, "second", 1)
    assert schedule.take(3.9) is None
    assert schedule.next_change_s(3.9) == 4
    schedule.submit("b", Kind.FINAL, "final", 3.9)
    final = schedule.take(3.9)
    assert texts(final) == ["final"]
    assert final is not None
    schedule.finish(final, 4)
    assert texts(schedule.take(4)) == ["second"]


def test_partials_leave_one_worker_to_finals() -> None:
    schedule = make(concurrency=2)
    schedule.submit("a", Kind.REALTIME, "a", 0)
    schedule.submit("b", Kind.REALTIME, "b", 0)
    assert texts(schedule.take(0)) == ["a"]
    assert schedule.take(0) is None
    schedule.submit("c", Kind.FINAL, "c", 0)
    assert texts(schedule.take(0)) == ["c"]


def test_early_transcriptions_run_after_finals_and_before_partials() -> None:
    schedule = make()
    schedule.submit("a", Kind.REALTIME, "partial", 0)
    schedule.submit("b", Kind.EARLY, "early", 0)
    schedule.submit("c", Kind.FINAL, "final", 0)
    order = []
    while (batch := schedule.take(0)) is not None:
        order += texts(batch)
        schedule.finish(batch, 0)
    assert order == ["final", "early", "partial"]


def test_early_transcriptions_leave_one_worker_to_finals() -> None:
    schedule = make(concurrency=2)
    schedule.submit("a", Kind.EARLY, "a", 0)
    b = schedule.submit("b", Kind.EARLY, "b", 0).job
    assert texts(schedule.take(0)) == ["a"]
    assert schedule.take(0) is None
    schedule.promote(b)
    assert schedule.waiting_finals == 1
    assert texts(schedule.take(0)) == ["b"]


def test_early_transcriptions_fill_a_batch_of_finals() -> None:
    schedule = make(max_batch=3)
    for session in "abc":
        schedule.submit(session, Kind.EARLY, f"early {session}", 0)
    schedule.submit("d", Kind.FINAL, "final", 0)
    assert texts(schedule.take(0)) == ["final", "early a", "early b"]


def test_an_early_transcription_replaces_the_one_that_waits() -> None:
    schedule = make()
    first = schedule.submit("a", Kind.EARLY, "first", 0).job
    assert schedule.submit("a", Kind.EARLY, "second", 0).superseded is first
    schedule.promote(first)
    assert schedule.waiting_finals == 0
    assert texts(schedule.take(0)) == ["second"]


def test_a_session_that_outruns_its_back_pressure_is_refused() -> None:
    schedule = make(finals_per_session=2)
    schedule.submit("a", Kind.FINAL, "1", 0)
    schedule.submit("a", Kind.FINAL, "2", 0)
    with pytest.raises(QueueFullError):
        schedule.submit("a", Kind.FINAL, "3", 0)
    schedule.submit("b", Kind.FINAL, "1", 0)


def test_cancelled_and_forgotten_jobs_do_not_run() -> None:
    schedule = make()
    job = schedule.submit("a", Kind.FINAL, "1", 0).job
    partial = schedule.submit("a", Kind.REALTIME, "2", 0).job
    schedule.submit("b", Kind.FINAL, "3", 0)
    assert schedule.cancel(job)
    assert not schedule.cancel(job)
    assert schedule.cancel(partial)
    assert not schedule.cancel(partial)
    assert [job.payload for job in schedule.forget("b")] == ["3"]
    assert schedule.take(0) is None
    assert schedule.clear() == []


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("final"), st.sampled_from("abc")),
        st.tuples(st.just("partial"), st.sampled_from("abc")),
        st.tuples(st.just("early"), st.sampled_from("abc")),
        st.tuples(st.sampled_from(["take", "finish", "expire", "wait", "forget"]), st.just("a")),
    ),
    max_size=60,
)


@given(OPERATIONS, st.integers(1, 3), st.integers(1, 3))
def test_every_request_ends_exactly_once(
    operations: list[tuple[str, str]], concurrency: int, max_batch: int
) -> None:
    schedule = make(
        concurrency=concurrency, max_batch=max_batch, realtime_share=0.5, max_partial_cost_s=0.5
    )
    now, number = 0.0, 0
    open_jobs: set[int] = set()
    running: list[Batch[str]] = []

    kinds = {"final": Kind.FINAL, "early": Kind.EARLY, "partial": Kind.REALTIME}

    def ended(payload: str) -> None:
        open_jobs.remove(int(payload))

    def finish() -> None:
        batch = running.pop(0)
        schedule.finish(batch, now)
        for job in batch.jobs:
            ended(job.payload)

    for operation, session in operations:
        now += 0.3
        if operation in kinds:
            kind = kinds[operation]
            try:
                submission = schedule.submit(session, kind, str(number), now, number % 7)
            except QueueFullError:
                continue
            open_jobs.add(number)
            number += 1
            if submission.superseded is not None:
                ended(submission.superseded.payload)
        elif operation == "take" and (batch := schedule.take(now)) is not None:
            assert len({job.kind is Kind.REALTIME for job in batch.jobs}) == 1
            assert len(batch.jobs) <= max_batch
            running.append(batch)
            assert len(running) <= concurrency
        elif operation == "finish" and running:
            finish()
        elif operation == "expire":
            for job, _ in schedule.expire(now):
                assert job.kind is Kind.REALTIME
                ended(job.payload)
        elif operation == "forget":
            for job in schedule.forget(session):
                ended(job.payload)
    for _ in range(2 * number + len(running)):
        now += 1.0
        for job, _ in schedule.expire(now):
            ended(job.payload)
        if (batch := schedule.take(now)) is not None:
            running.append(batch)
        elif running:
            finish()
    assert open_jobs == set()


def test_long_recordings_leave_one_of_several_workers_to_the_others() -> None:
    schedule = make(concurrency=2)
    for session in "abc":
        schedule.submit(session, Kind.FINAL, f"long {session}", 0, audio_s=24)
    first = schedule.take(0)
    assert texts(first) == ["long a"]
    assert schedule.take(0) is None
    schedule.submit("d", Kind.FINAL, "short", 1, audio_s=3)
    second = schedule.take(1)
    assert texts(second) == ["short"]
    assert first is not None
    assert second is not None
    schedule.finish(second, 2)
    assert schedule.take(2) is None
    schedule.finish(first, 9)
    assert texts(schedule.take(9)) == ["long b"]


def test_a_long_early_transcription_is_a_long_recording_too() -> None:
    schedule = make(concurrency=3)
    for session in "ab":
        schedule.submit(session, Kind.FINAL, f"long {session}", 0, audio_s=24)
    schedule.submit("c", Kind.EARLY, "long c", 0, audio_s=24)
    assert [texts(schedule.take(0)) for _ in range(3)] == [["long a"], ["long b"], []]
    schedule.submit("d", Kind.EARLY, "short", 0, audio_s=2)
    assert texts(schedule.take(0)) == ["short"]


def test_a_single_worker_takes_long_recordings_in_turn() -> None:
    schedule = make()
    schedule.submit("a", Kind.FINAL, "long", 0, audio_s=24)
    assert texts(schedule.take(0)) == ["long"]


def test_the_wait_for_a_final_is_predicted_from_what_is_ahead_of_it() -> None:
    schedule = make()
    assert schedule.wait_s(0) == 0
    schedule.submit("a", Kind.FINAL, "a", 0, audio_s=4)
    batch = schedule.take(0)
    assert batch is not None
    schedule.finish(batch, 2)  # half as long as its audio
    assert schedule.wait_s(2) == 0, "an idle engine takes it at once"
    for session in "bc":
        schedule.submit(session, Kind.FINAL, session, 2, audio_s=4)
    assert schedule.take(2) is not None
    assert schedule.wait_s(2) == 2 + 2
    assert schedule.wait_s(3) == 1 + 2
    assert schedule.wait_s(60) == 58, "a call that hangs: the queue gets older"


def test_who_has_much_waiting_does_not_make_others_wait_for_all_of_it() -> None:
    schedule = make()
    schedule.submit("a", Kind.FINAL, "a", 0, audio_s=4)
    batch = schedule.take(0)
    assert batch is not None
    schedule.finish(batch, 2)
    for _ in range(5):
        schedule.submit("greedy", Kind.FINAL, "x", 2, audio_s=4)
    schedule.take(2)
    assert schedule.wait_s(2) == 2 + 2


def test_several_workers_share_the_wait() -> None:
    schedule = make(concurrency=2)
    schedule.submit("a", Kind.FINAL, "a", 0, audio_s=1)
    batch = schedule.take(0)
    assert batch is not None
    schedule.finish(batch, 1)
    for session in "abcd":
        schedule.submit(session, Kind.FINAL, session, 1, audio_s=1)
    schedule.take(1)
    schedule.take(1)
    assert schedule.wait_s(1) == 2
