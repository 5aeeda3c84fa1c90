"""How long the gateway waits before it sends a frame again."""

from __future__ import annotations

from gateway.retransmission import RetransmissionTimer


def test_timeout_doubles_with_each_attempt_up_to_its_bound() -> None:
    timer = RetransmissionTimer(0.25, 4.0)
    assert [timer.timeout_s(n) for n in (1, 2, 3, 10, 1000)] == [0.25, 0.5, 1.0, 4.0, 4.0]


def test_timeout_grows_with_measured_latency() -> None:
    timer = RetransmissionTimer(0.25, 4.0)
    timer.measured(0.5)
    assert timer.timeout_s(1) > 1.0
