"""deploy.steer: what the subcommands print; their work on a system is an integration test."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.curve import Role, RoleKeys
from common.errors import SettingsError
from deploy.steer import StageStatus, keys, render, status


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


def test_keys_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert keys([str(folder)]) == 0
    for role in Role:
        assert RoleKeys(folder, role).own.secret
        assert (folder / role / "own.key_secret").stat().st_mode & 0o777 == 0o600


def test_keys_in_use_are_never_overwritten(tmp_path: Path) -> None:
    keys([str(tmp_path)])
    before = (tmp_path / "verifier" / "own.key_secret").read_bytes()
    with pytest.raises(SettingsError, match="holds keys already"):
        keys([str(tmp_path)])
    assert (tmp_path / "verifier" / "own.key_secret").read_bytes() == before


def test_one_hosts_keys_are_added_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys([str(tmp_path)])
    assert keys([str(tmp_path), "--add", "verifier", "host-7"]) == 0
    own = RoleKeys(tmp_path / "verifier@host-7", Role.VERIFIER).own.public
    assert own in RoleKeys(tmp_path, Role.GATEWAY).admitted(Role.VERIFIER)
    assert keys([str(tmp_path), "--revoke", "verifier", "host-7"]) == 0
    assert "running stages cut that key off" in capsys.readouterr().out
    assert own not in RoleKeys(tmp_path, Role.GATEWAY).admitted(Role.VERIFIER)
    with pytest.raises(SettingsError, match="no role 'cook'"):
        keys([str(tmp_path), "--add", "cook", "host-7"])


def test_keys_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot write keys"):
        keys([str(tmp_path / "file")])
