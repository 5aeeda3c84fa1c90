"""How many cores a process has used for a while, without a break."""

from __future__ import annotations

from transcriber.cpu_share import STEADY_S, CpuShare

BEAT_S = 0.5


def looks(share: CpuShare, now_s: float, cpu_s: float, *cores: float) -> list[float]:
    """What every heartbeat says while ``cores`` are used between them."""
    said = []
    for used in cores:
        now_s, cpu_s = now_s + BEAT_S, cpu_s + used * BEAT_S
        said.append(share.look(now_s, cpu_s))
    return said


def test_a_process_that_has_just_begun_says_nothing_of_itself() -> None:
    share = CpuShare(10.0, 4.0)
    assert share.look(10.002, 4.002) == 0.0, "its first look comes after two busy milliseconds"
    assert not any(looks(share, 10.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0))


def test_what_is_used_for_long_is_said() -> None:
    said = looks(CpuShare(10.0, 4.0), 10.0, 4.0, *[0.9] * 20)
    early = round(STEADY_S / BEAT_S) - 1
    assert not any(said[:early])
    assert all(abs(cores - 0.9) < 1e-6 for cores in said[early:])


def test_threads_outside_of_python_run_beside_each_other() -> None:
    assert looks(CpuShare(0.0, 0.0), 0.0, 0.0, *[2.0] * 8)[-1] == 2.0


def test_a_peak_is_no_lack_of_time_and_a_pause_ends_one() -> None:
    quiet, peak = [0.25] * 8, [1.0] * 5
    assert max(looks(CpuShare(0.0, 0.0), 0.0, 0.0, *quiet, *peak, *quiet)) == 0.25
    assert looks(CpuShare(0.0, 0.0), 0.0, 0.0, *[1.0] * 20, 0.25)[-1] == 0.25


def test_no_time_changes_nothing() -> None:
    share = CpuShare(0.0, 0.0)
    assert share.look(0.0, 1.0) == 0.0
    assert share.look(4.0, 2.0) == 0.5
    assert share.look(4.0, 3.0) == 0.5
