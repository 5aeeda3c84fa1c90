"""Files that hold secrets, and files on which it depends who may come in."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from common.errors import SettingsError

OTHERS: Final = 0o077
ALL_BUT_A_GROUP_THAT_READS: Final = 0o037
WRITERS: Final = 0o022
MAX_BYTES: Final = 64 << 20
"""Of a file of keys."""


def refuse_if_readable_by_others(path: Path) -> None:
    """A secret belongs to one user, or to root with a group to read it (a mounted secret).

    Raises:
        SettingsError: others may read or write it; with the command that mends it.
    """
    status = _status(path)
    if status.st_mode & _forbidden_of_a_secret(status):
        raise SettingsError(
            f"{path} can be read or written by others; mend it with: chmod 600 {path}"
        )


def refuse_if_writable_by_others(path: Path) -> None:
    """A file that others may write to says what they like.

    Raises:
        SettingsError: with the command that mends it.
    """
    status = _status(path)
    if status.st_mode & WRITERS or status.st_uid not in (0, os.getuid()):
        raise SettingsError(
            f"{path} belongs to, or can be written by, somebody else; mend it with: "
            f"chown {os.getuid()} {path} && chmod 600 {path}"
        )


def read_checked(path: Path, forbidden: int) -> bytes:
    """A file's content, of the very file that was looked at: no other can take its place meanwhile.

    Args:
        forbidden: :data:`OTHERS` for a secret, :data:`WRITERS` for a list.

    Raises:
        SettingsError: it cannot be read, is no regular file, is over :data:`MAX_BYTES`, or is
            another user's or open to others; with the command that mends it.
    """
    try:
        # Without O_NONBLOCK a named pipe in its place would hold up its reader for good.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SettingsError(f"{path} is no regular file")
            _check(path, status, forbidden)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{path} has more than {MAX_BYTES} bytes")
    return content


def _check(path: Path, status: os.stat_result, forbidden: int) -> None:
    if forbidden == OTHERS:
        forbidden = _forbidden_of_a_secret(status)
    if status.st_mode & forbidden or status.st_uid not in (0, os.getuid()):
        raise SettingsError(
            f"{path} belongs to, or can be read or written by, somebody else; mend it with: "
            f"chown {os.getuid()} {path} && chmod 600 {path}"
        )


def _forbidden_of_a_secret(status: os.stat_result) -> int:
    """A mounted one belongs to root, and its user reads it as a group."""
    mounted = status.st_uid == 0 and os.getuid() != 0
    return ALL_BUT_A_GROUP_THAT_READS if mounted else OTHERS


def write_secret(path: Path, content: bytes) -> None:
    """Make a file that its user alone may read; one that is there is not touched.

    Raises:
        FileExistsError: it is there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


class Stamp:
    """Tells whether a file is another than it was: by its times, size and number."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._seen = self._look()

    def changed(self) -> bool:
        """Whether it changed since the last call."""
        now = self._look()
        changed, self._seen = now != self._seen, now
        return changed

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(path) for path in self._paths)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
