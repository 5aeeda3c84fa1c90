"""gateway.audit: what a line holds, rotation, floods."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import SettingsError
from gateway import audit
from gateway.audit import AuditLog


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_event_is_one_numbered_line_of_json(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit"), 1 << 20, 3)
    log.write("start", version="1")
    log.write("session_begun", key="alice", address="192.0.2.1", note="a\nb")
    log.close()
    first, second = lines(tmp_path / "audit")
    assert (first["number"], first["event"], first["version"]) == (1, "start", "1")
    assert (second["number"], second["note"]) == (2, "a\nb")
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o600


def test_what_was_there_is_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        log = AuditLog(str(tmp_path / "audit"), 1 << 20, 3)
        log.write("start")
        log.close()
    assert len(lines(tmp_path / "audit")) == 2


def test_a_file_that_is_full_is_rotated_and_so_many_are_kept(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit"), 1_000, 2)
    for _ in range(100):
        log.write("command", name="x" * 100)
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["audit", "audit.1", "audit.2"]
    assert all(path.stat().st_size <= 1_000 for path in tmp_path.iterdir())
    assert lines(tmp_path / "audit")[-1]["number"] == 100


def test_a_flood_of_refusals_hides_nothing_else_and_says_how_many_were_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.audit.time.monotonic", lambda: 0.0)
    log = AuditLog(str(tmp_path / "audit"), 1 << 20, 2)
    for _ in range(1_000):
        log.write("authentication_refused", address="192.0.2.1")
    log.write("session_begun")
    log.close()
    written = lines(tmp_path / "audit")
    most, _ = audit.BUDGETS["authentication_refused"]
    assert len(written) == most + 1
    assert written[-1]["event"] == "session_begun"
    assert written[-1]["lost_before"] == 1_000 - most


def test_who_commands_without_end_fills_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.audit.time.monotonic", lambda: 0.0)
    log = AuditLog(str(tmp_path / "audit"), 1 << 20, 2)
    for _ in range(2_000):
        log.write("command", key="alice")
    log.close()
    assert len(lines(tmp_path / "audit")) == audit.BUDGETS["command"][0]


def test_long_texts_are_cut(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit"), 1 << 20, 2)
    log.write("start", version="x" * 10_000)
    log.close()
    assert len(lines(tmp_path / "audit")[0]["version"]) == 500


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    log = AuditLog("", 1, 1)
    log.write("start")
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--audit-log"):
        AuditLog(str(tmp_path), 1 << 20, 2)


def test_a_disk_that_takes_nothing_is_told_once_until_it_does_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AuditLog(str(folder / "audit"), 1, 1)  # each line wants a file of its own
    for is_away in (True, False, True):
        if is_away:
            shutil.rmtree(folder)
        else:
            folder.mkdir()
        for _ in range(3):
            log.write("start")
        log._queue.join()
    log.close()
    assert len([text for text in caplog.messages if "cannot be written" in text]) == 2
