"""How many cores a process used since it was last asked."""

from __future__ import annotations

from transcriber.cpu_share import CpuShare


def test_the_share_is_of_the_time_since_the_last_look() -> None:
    share = CpuShare(10.0, 4.0)
    assert share.look(12.0, 5.0) == 0.5
    assert share.look(13.0, 7.0) == 2.0, "threads outside of Python run beside each other"
    assert share.look(14.0, 7.0) == 0.0


def test_no_time_changes_nothing() -> None:
    share = CpuShare(0.0, 0.0)
    assert share.look(0.0, 1.0) == 0.0
    assert share.look(2.0, 2.0) == 1.0
    assert share.look(2.0, 3.0) == 1.0
