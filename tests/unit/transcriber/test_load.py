"""How much of an engine's time finals take, and what is left to partials."""

from __future__ import annotations

import pytest

from transcriber.load import CALL_S, LEAST_SHARE, WINDOW_S, Load


def busy(load: Load, share: float, seconds: float, start_s: float = 0.0) -> float:
    """Calls of finals, one a second, that take ``share`` of it; when the last one ended."""
    now = start_s
    for _ in range(int(seconds)):
        now += 1.0
        load.finals_ran(share, now)
    return now


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_the_share_of_finals_is_what_they_take(share: float) -> None:
    load = Load(1)
    now = busy(load, share, 60)
    assert load.finals_share(now) == pytest.approx(share, rel=0.15)


def test_an_idle_engine_leaves_partials_all_that_they_may_have() -> None:
    load = Load(1)
    assert load.partials_share(1.0, 0) == 1
    assert load.partials_share(0.5, 0) == 0.5
    now = busy(load, 1.0, 60)
    assert load.partials_share(0.5, now + 10 * WINDOW_S) == 0.5


def test_partials_have_less_of_the_time_the_more_finals_take_and_never_nothing() -> None:
    shares = []
    for share in (0.0, 0.3, 0.6, 1.0):
        load = Load(1)
        shares.append(load.partials_share(1.0, busy(load, share, 60)))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    assert shares[-1] == LEAST_SHARE


def test_work_of_several_workers_is_shared_by_them() -> None:
    one, four = Load(1), Load(4)
    now = busy(one, 0.8, 60)
    busy(four, 0.8, 60)
    assert four.finals_share(now) == pytest.approx(one.finals_share(now) / 4)


def test_a_call_of_partials_carries_a_bounded_amount_of_work() -> None:
    load = Load(1)
    assert load.partials_per_call(16) == 16, "as long as nothing is known"
    for _ in range(20):
        size = load.partials_per_call(16)
        load.partials_ran(0.066 + 0.0225 * size, size)
    assert 0.066 + 0.0225 * load.partials_per_call(16) <= CALL_S + 0.0225
    assert load.partials_per_call(4) == 4
    for _ in range(20):
        load.partials_ran(3.0, 1)
    assert load.partials_per_call(16) == 1, "a slow engine still makes one"
