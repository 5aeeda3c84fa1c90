"""The run dir while a system runs in it: its owner's alone, locked, and cleared afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO, Final, Self

from common.errors import SettingsError
from common.run_folder import MAX_SOCKET_PATH_BYTES, own_folder
from common.settings import default_run_dir
from deploy.plan import CONFIG_FILE, CONTROL_SOCKET, PLAN_FILE, STAGES_LOCK, TARGETS_FILE

LOCK_FILE: Final = "lock"
LOCK_TRIES: Final = 10
"""More than one: whoever asks whether a system runs holds the lock for an instant."""
LOCK_PAUSE_S: Final = 0.02
ORPHANS_TIMEOUT_S: Final = 30.0
"""How long to wait for the stages of a system whose supervisor was killed: they are draining."""
_OWN_FILES: Final = (
    *("*.sock", "*.sock.*", "supervisord.pid", ".*.new", "gateway*.lock", "tokens.secret"),
    *(PLAN_FILE, CONFIG_FILE, STAGES_LOCK, TARGETS_FILE),
)


class RunDir:
    """Holds the lock of a run dir from entering to leaving.

    Raises:
        SettingsError: on entering: the folder cannot be used, or a system already runs in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None
        self._removable = False

    def __enter__(self) -> Self:
        self._removable = not self._folder.exists() or str(self._folder) == default_run_dir()
        _prepare(self._folder)
        self._lock = (self._folder / LOCK_FILE).open("w")
        if not _try_lock(self._lock, LOCK_TRIES):
            self._lock.close()
            raise SettingsError(
                f"a system already runs in {self._folder}: `deploy/stt-server stop` ends it, "
                "another --run-dir (and ports) starts a second one"
            )
        self._wait_for_orphans()
        self._sweep()  # what a system that was killed left behind
        return self

    def __exit__(self, *_: object) -> None:
        self._sweep()
        (self._folder / LOCK_FILE).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
        if self._removable and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _wait_for_orphans(self) -> None:
        with (self._folder / STAGES_LOCK).open("w") as lock:
            if not _try_lock(lock, int(ORPHANS_TIMEOUT_S / LOCK_PAUSE_S)):
                raise SettingsError(
                    f"stages of a system that was killed still run in {self._folder}; "
                    "another --run-dir starts one beside them"
                )

    def _sweep(self) -> None:
        for pattern in _OWN_FILES:
            for path in self._folder.glob(pattern):
                path.unlink(missing_ok=True)


def is_in_use(folder: Path) -> bool:
    """Whether a system runs in this run dir."""
    try:
        with (folder / LOCK_FILE).open("r+") as lock:
            return not _try_lock(lock, tries=1)
    except FileNotFoundError:
        return False


def _try_lock(lock: IO[str], tries: int) -> bool:
    for _ in range(tries):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(LOCK_PAUSE_S)
    return False


def _prepare(folder: Path) -> None:
    longest = folder / f"{CONTROL_SOCKET}.{os.getpid()}"  # supervisord binds it by this name
    if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
        raise SettingsError(f"the path of the run dir is too long for Unix sockets: {folder}")
    own_folder(folder)
