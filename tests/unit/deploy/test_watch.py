"""deploy.watch: what is said when stages come and go."""

from __future__ import annotations

import signal

import msgspec
import pytest

from deploy.plan import GATEWAY, Plan, Stage
from deploy.watch import Watch, cause

PLAN = Plan(
    run_dir="/run/stt",
    server_pid=1,
    host="0.0.0.0",
    control_port=8011,
    data_port=8012,
    metrics_host="127.0.0.1",
    drain_s=10.0,
    stages=(Stage(GATEWAY, GATEWAY, 8013), Stage("verifier-1", "verifier", 8014)),
)
EXIT_1 = 1 << 8
EXIT_2 = 2 << 8


@pytest.fixture
def watch() -> Watch:
    """A watch on a system that is ready, with everything started."""
    watch = Watch(now_s=100.0)
    for stage in PLAN.stages:
        watch.started(stage.name)
    watch.system_ready(PLAN, 103.0)
    watch.stage_ready("verifier-1", 7, 103.5)
    return watch


def test_the_ready_line_names_time_ports_page_and_metrics() -> None:
    watch = Watch(now_s=100.0)
    watch.started(GATEWAY)
    line = watch.system_ready(PLAN, 103.25)
    assert line == (
        "READY after 3.2 s: data ws://127.0.0.1:8012, control ws://127.0.0.1:8011, "
        "web page http://127.0.0.1:8012/, metrics http://127.0.0.1:8013/metrics"
    )
    assert watch.ready
    assert watch.awaited() == []
    with_api = msgspec.structs.replace(PLAN, api_port=8010)
    assert "API http://127.0.0.1:8010/v1, metrics" in watch.system_ready(with_api, 103.25)


def test_a_stage_of_the_first_start_becomes_ready_without_a_line_of_its_own() -> None:
    watch = Watch(now_s=100.0)
    watch.started("verifier-1")
    assert watch.awaited() == ["verifier-1"]
    assert watch.stage_ready("verifier-1", 7, 103.5) == ""
    assert watch.awaited() == []


def test_a_death_says_who_why_and_what_next(watch: Watch) -> None:
    death = watch.died("verifier-1", 7, signal.SIGKILL, 0.0, 110.0)
    assert death.line == "verifier-1 died: killed by SIGKILL (pid 7); starting it again now"
    assert death.exit_status is None


def test_coming_back_says_how_long_it_took_since_the_first_death(watch: Watch) -> None:
    watch.died("verifier-1", 7, EXIT_1, 0.0, 110.0)
    watch.started("verifier-1")
    watch.died("verifier-1", 8, EXIT_1, 1.0, 111.0)
    watch.started("verifier-1")
    assert watch.stage_ready("verifier-1", 9, 112.5) == "verifier-1 is back after 2.5 s (pid 9)"


def test_the_gateway_too_comes_back(watch: Watch) -> None:
    watch.died(GATEWAY, 5, EXIT_1, 0.0, 110.0)
    watch.started(GATEWAY)
    assert watch.stage_ready(GATEWAY, 6, 111.0) == "gateway is back after 1.0 s (pid 6)"


def test_a_stage_added_later_joins(watch: Watch) -> None:
    watch.started("verifier-2")
    assert watch.stage_ready("verifier-2", 11, 120.0) == "verifier-2 joined (pid 11)"


def test_a_stage_taken_away_leaves_and_is_awaited_no_more(watch: Watch) -> None:
    watch.started("verifier-2")
    assert watch.stopped("verifier-2") == "verifier-2 left"
    assert watch.awaited() == []


def test_options_that_cannot_be_used_end_the_start_at_once() -> None:
    watch = Watch(now_s=100.0)
    watch.started(GATEWAY)
    death = watch.died(GATEWAY, 5, EXIT_2, 0.0, 101.0)
    assert death.exit_status == 2
    assert death.line == "gateway cannot start, its own lines say why (exit status 2)"


def test_dying_again_and_again_ends_the_start() -> None:
    watch = Watch(now_s=100.0)
    watch.started(GATEWAY)
    assert watch.died(GATEWAY, 5, EXIT_1, 1.0, 101.0).exit_status is None
    assert watch.died(GATEWAY, 6, EXIT_1, None, 102.0).exit_status == 1


def test_once_ready_no_death_ends_the_system(watch: Watch) -> None:
    assert watch.died("verifier-1", 7, EXIT_2, 0.0, 110.0).exit_status is None
    death = watch.died("verifier-1", 8, EXIT_2, None, 111.0)
    assert death.exit_status is None
    assert death.line.endswith("starting it again in 10 s")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit status 0"),
        (EXIT_2, "exit status 2"),
        (signal.SIGTERM, "killed by SIGTERM"),
        (signal.SIGSEGV | 0x80, "killed by SIGSEGV, core dumped"),
        (40, "killed by signal 40"),
    ],
)
def test_causes_are_named(status: int, words: str) -> None:
    assert cause(status) == words
