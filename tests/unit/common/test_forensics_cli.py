"""The command stt-inspect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.forensics.cli import EXIT_OK, EXIT_UNREADABLE, main
from common.forensics.records import Corruption, packed

GOOD = bytes(range(200))
HEALED = Corruption(
    0, "10.0.0.1:7", "ab12cd34", 3, 0, "checksum", "", 1, 2, GOOD[:50] + b"\0" + GOOD[51:], GOOD
)
UNKNOWN = HEALED._replace(client="10.0.0.2:9", good=b"", diagnosis="truncated\x1b[31m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.quarantine").write_bytes(packed(HEALED) * 2)
    (tmp_path / "b.quarantine").write_bytes(packed(UNKNOWN))
    return tmp_path


def test_a_file_is_shown_record_by_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder / "a.quarantine")]) == EXIT_OK
    out = capsys.readouterr().out
    assert out.count("1970-01-01T00:00:00.000Z  10.0.0.1:7  frame 3: checksum; 200 bytes") == 2
    assert "bits flipped in bytes 50 to 50" in out or "became zeros" in out
    assert "sent  30 31 32" in out


def test_a_folder_is_summed_up_by_client_and_kind(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder)]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["client", "frames", "what", "happened"]
    assert lines[1].split()[:2] == ["10.0.0.1", "2"]
    assert lines[2].split() == ["10.0.0.2", "1", "unknown"]


def test_what_clients_sent_cannot_command_a_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--all", str(folder)]) == EXIT_OK
    assert "\x1b" not in capsys.readouterr().out


def test_records_are_printed_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(folder)]) == EXIT_OK
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [fact["sequence"] for fact in facts] == [3, 3, 3]
    assert facts[2]["happened"] == "unknown"
    assert facts[0]["message"] == facts[0]["good"] == 200


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.quarantine").write_bytes(b"RIFF")
    assert main([str(folder)]) == EXIT_UNREADABLE
    captured = capsys.readouterr()
    assert "c.quarantine is no quarantine file" in captured.err
    assert "10.0.0.1" in captured.out
    assert main([str(folder / "none")]) == EXIT_UNREADABLE


def test_an_empty_folder_has_nothing_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == EXIT_OK
    assert capsys.readouterr().out == "no corrupt frame was kept\n"
