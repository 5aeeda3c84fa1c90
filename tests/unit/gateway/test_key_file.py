"""gateway.key_file: what happens to those inside when the file of keys is another or unusable."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from common.api_keys import line_of, new_key
from common.errors import SettingsError
from gateway.key_file import KeyFile

ALICE, BOB = new_key(), new_key()


def write(path: Path, text: str, mode: int = 0o600) -> None:
    partial = path.with_suffix(".new")
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    result = tmp_path / "api-keys"
    write(result, line_of("alice", ALICE))
    return result


def test_keys_are_read_again_when_the_file_is_another(path: Path) -> None:
    file = KeyFile(path)
    assert file.take_up_changes() is None
    write(path, line_of("bob", BOB))
    assert file.take_up_changes() is True
    assert file.keys.find(ALICE) is None
    assert file.keys.find(BOB)


def test_a_link_to_another_file_is_followed_and_that_file_is_looked_at(
    path: Path, tmp_path: Path
) -> None:
    """As Kubernetes puts a new secret in the old one's place."""
    file = KeyFile(path)
    other = tmp_path / "other"
    write(other, line_of("bob", BOB))
    path.unlink()
    path.symlink_to(other)
    assert file.take_up_changes() is True
    assert file.keys.find(BOB)
    other.chmod(0o666)
    write(other, line_of("alice", ALICE), 0o666)
    assert file.take_up_changes() is False
    assert file.keys.find(ALICE) is None


@pytest.mark.parametrize("damage", ["gone", "half", "writable", "pipe", "folder", "binary"])
def test_a_file_that_cannot_be_used_opens_no_door_and_ends_no_session(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(path)
    line = line_of("bob", BOB)
    if damage in ("gone", "pipe", "folder"):
        path.unlink()
    match damage:
        case "half":
            write(path, line[:40])
        case "writable":
            write(path, line, 0o622)
        case "pipe":
            os.mkfifo(path, 0o600)
        case "folder":
            path.mkdir()
        case "binary":
            path.write_bytes(b"\xff\xfe")
    with caplog.at_level(logging.ERROR):
        assert file.take_up_changes() is False
    assert "stay what they were" in caplog.text
    assert file.keys.find(ALICE)
    assert file.keys.find(BOB) is None
    with pytest.raises(SettingsError):
        KeyFile(path)


def test_an_empty_file_revokes_all_keys_once_it_is_still_empty_at_the_next_look(path: Path) -> None:
    """A file that is being written is empty for a moment."""
    file = KeyFile(path)
    write(path, "")
    assert file.take_up_changes() is None
    assert file.keys.find(ALICE)
    assert file.take_up_changes() is True
    assert len(file.keys) == 0
    assert file.take_up_changes() is None


def test_a_file_that_was_empty_only_while_it_was_written_revokes_nothing(path: Path) -> None:
    file = KeyFile(path)
    path.write_text("")
    assert file.take_up_changes() is None
    path.write_text(line_of("alice", ALICE))
    assert file.take_up_changes() is True
    assert file.keys.find(ALICE)
