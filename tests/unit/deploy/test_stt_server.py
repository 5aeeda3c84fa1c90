"""deploy.stt_server: the command, while it loads."""

from __future__ import annotations

from tests.processes import assert_quiet_when_interrupted_at_its_start


def test_an_interrupt_while_it_loads_says_nothing() -> None:
    assert_quiet_when_interrupted_at_its_start("deploy.stt_server", "--help")
