"""deploy.steer: what the subcommands print; their work on a system is an integration test."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SettingsError
from deploy.steer import StageStatus, render, status


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
