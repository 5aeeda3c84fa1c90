"""Which files of a folder are to go, so that it stays within its bounds of bytes and age."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def surplus(
    paths: Iterable[Path],
    most_bytes: int,
    most_age_s: float,
    now_s: float,
    spared: Path | None = None,
) -> Iterator[Path]:
    """The files that are too old or too much, the oldest first; the caller removes them.

    Args:
        paths: of all files; one that another process has removed meanwhile does not count.
        most_bytes: of all files together.
        most_age_s: since a file was last written to.
        now_s: seconds since 1970.
        spared: counts, and stays.
    """
    known = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            known.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in known)
    for written_s, size, path in sorted(known):
        if path != spared and (total > most_bytes or now_s - written_s > most_age_s):
            yield path
            total -= size
