"""A worker that hangs is noticed after a few times what it should have taken."""

from __future__ import annotations

from transcriber.engines.patience import FACTOR, LEAST_S, Patience


def used(factor: float, calls: int = 100) -> Patience:
    patience = Patience()
    for _ in range(calls):
        patience.ran(4.0, 4.0 * factor)
    return patience


def test_a_fast_engine_is_given_up_soon() -> None:
    assert used(0.2).deadline_s(3.0) < LEAST_S + FACTOR * 0.7


def test_a_slow_engine_is_waited_for() -> None:
    assert used(3.0).deadline_s(10.0) > 10.0 * 3.0 * 4


def test_a_client_that_waits_a_minute_sees_a_sentence_whose_worker_hung() -> None:
    """Twice even: at the real-time factors that PocketSphinx has, 0.15 to 0.46."""
    patience = used(0.46)
    assert patience.deadline_s(6.0, 0) + patience.deadline_s(6.0, 1) < 60


def test_one_slow_call_is_believed_at_once_and_forgotten_slowly() -> None:
    patience = used(0.2)
    patience.ran(4.0, 8.0)
    assert patience.factor == 2.0
    patience.ran(4.0, 0.8)
    assert 1.5 < patience.factor < 2.0


def test_each_further_attempt_is_given_twice_the_time() -> None:
    patience = used(0.2)
    assert patience.deadline_s(5.0, 2) == 4 * patience.deadline_s(5.0)


def test_a_blip_of_audio_says_nothing() -> None:
    patience = used(0.2)
    before = patience.factor
    patience.ran(0.01, 1.0)
    assert patience.factor == before
