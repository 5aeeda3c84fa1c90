"""deploy.run_dir: one system per run dir, and nothing left in it."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from common.errors import SettingsError
from deploy.plan import STAGES_LOCK
from deploy.run_dir import RunDir, is_in_use


def test_a_run_dir_that_was_made_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with RunDir(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert is_in_use(folder)
        (folder / "frames.sock").touch()
    assert not folder.exists()
    assert not is_in_use(folder)


def test_a_run_dir_that_was_there_stays_with_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with RunDir(tmp_path):
        (tmp_path / "system.json").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_a_killed_system_left_is_swept_at_the_next_start(tmp_path: Path) -> None:
    for name in ("frames.sock", "control.sock", "system.json", "supervisord.conf", "lock"):
        (tmp_path / name).touch()
    with RunDir(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_start_waits_for_stages_that_outlived_their_supervisor(tmp_path: Path) -> None:
    orphan = (tmp_path / STAGES_LOCK).open("w")
    fcntl.flock(orphan, fcntl.LOCK_SH)
    release = threading.Timer(0.1, orphan.close)
    release.start()
    with RunDir(tmp_path):
        assert orphan.closed
    release.join()
    assert list(tmp_path.iterdir()) == []


def test_a_second_system_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with RunDir(tmp_path):
        with pytest.raises(SettingsError, match="already runs in"), RunDir(tmp_path):
            pass
        assert is_in_use(tmp_path)


def test_a_run_dir_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match="somebody else"), RunDir(tmp_path):
        pass


def test_a_run_dir_too_long_for_unix_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too long"), RunDir(tmp_path / ("x" * 90)):
        pass


def test_a_run_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot use the run dir"), RunDir(tmp_path / "file"):
        pass
