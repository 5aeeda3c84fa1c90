"""The folder of the ipc sockets: whoever can write there could take every stage's place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from common.errors import SettingsError
from common.settings import StageSettings

MAX_SOCKET_PATH_BYTES: Final = 107
"""Longer paths of Unix sockets are cut silently by the kernel interface."""


def own_folder(folder: Path) -> None:
    """Make a run dir, or see that the one that is there is this user's alone.

    Raises:
        SettingsError: it cannot be made, or somebody else can write there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status, name = folder.stat(), folder.lstat()
    except OSError as error:
        raise SettingsError(f"cannot use the run dir {folder}: {error}") from None
    if (
        status.st_uid != os.getuid()
        or name.st_uid not in (os.getuid(), 0)
        or status.st_mode & 0o022
    ):
        raise SettingsError(
            f"the run dir {folder} belongs to, or can be written by, somebody else; "
            "--run-dir names another"
        )


def check_links(settings: StageSettings, *links: str) -> None:
    """See to the run dir if any of a stage's links goes through it.

    Raises:
        SettingsError: as :func:`own_folder`.
    """
    inside = f"ipc://{settings.run_path}/"
    if any(settings.endpoint(link).startswith(inside) for link in links):
        own_folder(settings.run_path)
