"""A debugging aid: writes the PCM that a session's recorder was fed to a file.

A replay writes the same positions again; if the bytes differ from those that are there, that is
an error in the pipeline, and is logged and kept in a file beside it. It never stands in the way of
a transcript: where the disk is full, it ends with a line in the log.
"""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)


class Tap:
    """One session's file of int16 LE mono at 16 kHz, ``SESSION.pcm`` in ``folder``; what people
    said is readable by nobody but the server's user.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, session: bytes, start_sample: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{session.hex()}.pcm"
        path.touch(mode=0o600)
        self._file = path.open("r+b", buffering=0)
        self._mismatches = path.with_suffix(".mismatch")
        self._offset = 2 * start_sample
        self._failed = False

    def write(self, pcm: bytes | memoryview) -> None:
        """Append what this recorder was fed. Where that fails, say so and write no more."""
        if self._failed:
            return
        try:
            self._write(pcm)
        except OSError as error:
            self._failed = True
            log.error("--tap-dir: nothing more is written of a session: %s", error)

    def _write(self, pcm: bytes | memoryview) -> None:
        self._file.seek(self._offset)
        before = self._file.read(len(pcm))
        if before != bytes(pcm)[: len(before)]:
            log.error("a replay fed other bytes at sample %d", self._offset // 2)
            with self._mismatches.open("ab") as mismatches:
                mismatches.write(self._offset.to_bytes(8, "little"))
        self._file.seek(self._offset)
        written = self._file.write(pcm)
        if written != len(pcm):
            raise OSError(f"{written} of {len(pcm)} bytes could be written")
        self._offset += len(pcm)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
