"""How long the gateway waits before it sends a frame again."""

from __future__ import annotations

from gateway.retransmission import HELD_S, MARGIN, RetransmissionTimer


def test_timeout_doubles_with_each_attempt_up_to_its_bound() -> None:
    timer = RetransmissionTimer(0.25, 4.0)
    assert [timer.timeout_s(n) for n in (1, 2, 3, 10, 1000)] == [0.25, 0.5, 1.0, 4.0, 4.0]


def test_timeout_grows_with_measured_latency() -> None:
    timer = RetransmissionTimer(0.25, 4.0)
    timer.measured(0.5, 0.0)
    assert timer.timeout_s(1) > 1.0


def test_the_worst_latency_counts_for_a_while() -> None:
    """A process that was held up for a moment is so again, and nothing was lost."""
    timer = RetransmissionTimer(0.25, 4.0)

    def well_until(now_s: float) -> float:
        for _ in range(100):
            timer.measured(0.01, now_s)
        return timer.timeout_s(1)

    assert well_until(100.0) == 0.25
    timer.measured(0.8, 101.0)
    assert well_until(101.0) == MARGIN * 0.8
    assert well_until(101.0 + HELD_S - 1) == MARGIN * 0.8
    assert well_until(101.0 + 2 * HELD_S) == 0.25


def test_what_was_measured_long_ago_counts_no_more() -> None:
    timer = RetransmissionTimer(0.25, 4.0)
    timer.measured(2.0, 0.0)
    for _ in range(100):
        timer.measured(0.01, 1_000.0)
    assert timer.timeout_s(1) == 0.25
