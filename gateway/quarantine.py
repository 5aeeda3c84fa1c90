"""Keeps corrupt frames on disk, for whoever wants to know what a line does to them.

Files are appended to by a thread of their own, so that no disk holds up audio. Overflow policies:
of the files in the folder the oldest go, by age and by the sum of their bytes; records that come
faster than the disk takes them are dropped and counted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import threading
import time
from pathlib import Path
from typing import BinaryIO, Final

from common.envelope import Code, Verdict
from common.errors import SettingsError
from common.forensics.records import SUFFIX, Corruption, packed
from common.logs import LogBudget
from common.surplus import surplus
from common.wire import without_mark
from gateway.frame_counts import Judged

log = logging.getLogger(__name__)

FILES: Final = 8
"""A folder's bytes are spread over about so many files."""
TIDY_S: Final = 60.0
"""How often files are looked at for one that is too old, though nothing new came."""
WAITING_RECORDS: Final = 256
"""Records that wait for the disk; past that the newest are dropped."""
CLOSE_S: Final = 5.0
"""How long the end of a gateway waits for a disk that hangs."""


def corruption(
    client: str, session: bytes, verdict: Verdict, message: bytes, good: bytes, time_ns: int
) -> Corruption:
    """The record of a corrupt frame.

    Args:
        good: the message that took its place; empty if there is none.
    """
    kind = verdict.malformed or (
        "length" if verdict.expected_length not in (None, verdict.actual_length) else "checksum"
    )
    return Corruption(
        time_ns=time_ns,
        client=client,
        session=hashlib.sha256(session).hexdigest()[:8],
        sequence=verdict.seq,
        attempt=verdict.attempt,
        kind=kind,
        diagnosis=verdict.diagnosis or verdict.likely,
        expected=verdict.expected_checksum,
        actual=verdict.actual_checksum,
        message=message,
        good=good,
    )


class QuarantineFolder:
    """The files of one folder; decides which is written to, and which go.

    Args:
        name: of this gateway, in the names of its files.
        most_bytes: bound on all files together.
        most_age_s: files last written to longer ago are removed.

    Raises:
        SettingsError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, name: str, most_bytes: int, most_age_s: float) -> None:
        self._folder = folder
        self._name = name
        self._most_bytes = most_bytes
        self._most_age_s = most_age_s
        self._number = 0
        self._first_s = 0.0
        self._file: BinaryIO | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._next()
        except OSError as error:
            raise SettingsError(f"--quarantine {folder}: {error.strerror}") from None

    def append(self, raw: bytes, now_s: float) -> None:
        """Write one record, whole.

        Raises:
            OSError: the disk does not take it.
        """
        file = self._file or self._next()  # there is none after one that could not be made
        if file.tell() and file.tell() + len(raw) > self._most_bytes // FILES:
            file = self._next()
        begin = file.tell()
        if not begin:
            self._first_s = now_s
        if (written := file.write(raw)) != len(raw):  # what follows half a record cannot be read
            file.truncate(begin)
            file.seek(begin)
            raise OSError(f"{written} of {len(raw)} bytes could be written")
        self.tidy(now_s)

    def tidy(self, now_s: float) -> None:
        """Remove what is too old or too much; the file that is written to stays.

        That one gives way to another one in time, so that nothing in it gets too old.
        """
        share_s = self._most_age_s / FILES
        if self._file is not None and self._file.tell() and now_s - self._first_s > share_s:
            self._next()
        paths = self._folder.glob(f"*{SUFFIX}")
        age_s = self._most_age_s - share_s
        for path in surplus(paths, self._most_bytes, age_s, now_s, spared=self._path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; an empty one is removed."""
        if self._file is not None:
            empty = not self._file.tell()
            self._file.close()
            self._file = None
            if empty:
                self._path.unlink(missing_ok=True)

    def _next(self) -> BinaryIO:
        self.close()
        self._number += 1
        self._path = self._folder / f"{self._name}-{self._number:06d}{SUFFIX}"
        self._path.touch(0o600)
        file = self._file = self._path.open("ab", buffering=0)
        return file


class Quarantine:
    """Writes records to a folder from a thread of its own.

    Attributes:
        kept: records that were written.
        dropped: records that were not: the disk was too slow, or full.
    """

    def __init__(self, folder: QuarantineFolder) -> None:
        self.kept = 0
        self.dropped = 0
        self._folder = folder
        self._waiting: queue.Queue[Corruption | None] = queue.Queue(WAITING_RECORDS)
        self._lines = LogBudget(3, 1 / 60)
        self._thread = threading.Thread(target=self._write_all, name="quarantine", daemon=True)
        self._thread.start()

    def judged(self, client: str, session: bytes, judged: Judged) -> None:
        """Keep a frame that is corrupt, or was before it healed."""
        if judged.spoiled is not None and judged.mended is not None:
            message, verdict = judged.spoiled
            good = without_mark(judged.message)
        elif judged.verdict.code == Code.CORRUPT:
            message, verdict, good = judged.message, judged.verdict, b""
        else:
            return
        self.keep(corruption(client, session, verdict, message, good, time.time_ns()))

    def keep(self, record: Corruption) -> None:
        """Write a record soon; never waits."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and stop; where the disk hangs, without it."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_S)
            self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("the disk of --quarantine hangs: what waits for it is lost")
            return
        self._folder.close()

    def _write_all(self) -> None:
        while True:
            try:
                record = self._waiting.get(timeout=TIDY_S)
            except queue.Empty:
                with contextlib.suppress(OSError):
                    self._folder.tidy(time.time())
                continue
            if record is None:
                return
            try:
                self._folder.append(packed(record), time.time())
                self.kept += 1
            except Exception as error:  # whatever it was, the next one may be kept
                self.dropped += 1
                if self._lines.allow(time.monotonic()):
                    log.error("a corrupt frame could not be kept: %s", error)
