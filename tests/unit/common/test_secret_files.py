"""common.secret_files: modes that are refused, and when a file has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.secret_files import (
    OTHERS,
    WRITERS,
    Stamp,
    read_checked,
    refuse_if_readable_by_others,
    refuse_if_writable_by_others,
    write_secret,
)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_secret_that_others_may_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    secret = tmp_path / "secret"
    write_secret(secret, b"s")
    refuse_if_readable_by_others(secret)
    secret.chmod(mode)
    with pytest.raises(SettingsError, match=f"chmod 600 {secret}"):
        refuse_if_readable_by_others(secret)


def test_a_secret_that_root_lends_to_a_group_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes mounts them for a user other than root."""
    secret = tmp_path / "secret"
    write_secret(secret, b"s")
    secret.chmod(0o440)
    if secret.stat().st_uid != 0:
        pytest.skip("the tests do not run as root")
    monkeypatch.setattr(os, "getuid", lambda: 10_001)
    refuse_if_readable_by_others(secret)
    secret.chmod(0o444)
    with pytest.raises(SettingsError, match="by others"):
        refuse_if_readable_by_others(secret)


def test_a_list_may_be_read_by_others_but_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    path.touch()
    path.chmod(0o644)
    refuse_if_writable_by_others(path)
    path.chmod(0o664)
    with pytest.raises(SettingsError, match="somebody else"):
        refuse_if_writable_by_others(path)
    path.chmod(0o644)
    if path.stat().st_uid != 0:
        monkeypatch.setattr(os, "getuid", lambda: 10_001)
        with pytest.raises(SettingsError, match="somebody else"):
            refuse_if_writable_by_others(path)


def test_what_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    for refuse in (refuse_if_readable_by_others, refuse_if_writable_by_others):
        with pytest.raises(SettingsError, match=f"cannot read {tmp_path}/none"):
            refuse(tmp_path / "none")


def test_a_file_is_read_as_it_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("x")
    path.chmod(0o644)
    assert read_checked(path, WRITERS) == b"x"
    with pytest.raises(SettingsError, match="chmod 600"):
        read_checked(path, OTHERS)
    path.chmod(0o620)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_checked(path, WRITERS)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for none in (pipe, tmp_path):
        with pytest.raises(SettingsError, match=r"no regular file|directory"):
            read_checked(none, WRITERS)


def test_a_secret_is_never_written_over(tmp_path: Path) -> None:
    write_secret(tmp_path / "secret", b"one")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "secret", b"two")
    assert (tmp_path / "secret").read_bytes() == b"one"


def test_a_file_that_is_written_replaced_or_removed_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    stamp = Stamp(path)
    assert not stamp.changed()
    path.write_text("longer")
    assert stamp.changed()
    assert not stamp.changed()
    other = tmp_path / "other"
    other.write_text("longer")
    other.replace(path)
    assert stamp.changed()
    path.unlink()
    assert stamp.changed()
    assert not stamp.changed()
