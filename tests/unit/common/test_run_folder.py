"""Who may have the folder of the ipc sockets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.run_folder import check_links, own_folder
from common.settings import StageSettings


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    own_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    own_folder(tmp_path / "a" / "b")


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(SettingsError, match="can be written by, somebody else"):
        own_folder(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_a_folder_or_a_link_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs, link = tmp_path / "theirs", tmp_path / "link"
    theirs.mkdir(mode=0o700)
    link.symlink_to(tmp_path)
    own_folder(link)
    os.chown(theirs, 65_534, -1)
    os.chown(link, 65_534, -1, follow_symlinks=False)
    for folder in (theirs, link):
        with pytest.raises(SettingsError, match="belongs to"):
            own_folder(folder)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot use the run dir"):
        own_folder(tmp_path / "file")


def test_the_run_dir_matters_only_to_links_that_go_through_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    settings = StageSettings(run_dir=str(tmp_path), frames="tcp://gw:1", verdicts="tcp://gw:2")
    check_links(settings, "frames", "verdicts")
    with pytest.raises(SettingsError, match="somebody else"):
        check_links(settings, "frames", "results")
