"""deploy.steer: what the subcommands print; their work on a system is an integration test."""

from __future__ import annotations

import xmlrpc.client
from pathlib import Path

import pytest
from supervisor.xmlrpc import Faults

from common.errors import SettingsError
from deploy.steer import StageStatus, foreign_errors, render, status


def test_the_table_is_aligned_and_shows_what_is_not_known_as_a_dash() -> None:
    table = render(
        [
            StageStatus("gateway", 12, "ready", 3_723, 4, "http://127.0.0.1:8013/metrics"),
            StageStatus("verifier-1", 0, "backoff", 0, None, "http://127.0.0.1:8014/metrics"),
        ]
    )
    assert table.splitlines() == [
        "stage       pid  state    uptime   sessions  metrics",
        "gateway     12   ready    1:02:03  4         http://127.0.0.1:8013/metrics",
        "verifier-1  -    backoff  -        -         http://127.0.0.1:8014/metrics",
    ]


def test_the_run_dir_is_that_of_the_environment_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STT_RUN_DIR", str(tmp_path / "a"))
    with pytest.raises(SettingsError, match=f"no system runs in {tmp_path}/a "):
        status([])
    with pytest.raises(SettingsError, match=f"no system runs in {tmp_path}/b "):
        status(["--run-dir", str(tmp_path / "b")])


@pytest.mark.parametrize(
    "code, words, said",
    [
        (Faults.SHUTDOWN_STATE, "SHUTDOWN_STATE", "it is stopping"),
        (10, "BAD_NAME: x", "BAD_NAME: x"),
    ],
)
def test_a_refusal_is_told_in_an_operators_words(code: int, words: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"the system refused: {said}"), foreign_errors():
        raise xmlrpc.client.Fault(code, words)
