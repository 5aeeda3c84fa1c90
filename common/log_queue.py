"""Log lines on their way out: a stage never waits for whoever reads them.

Overflow policy: while the queue is full, new lines are dropped and counted; how many is said with
the next line that goes out.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import time
from collections import deque
from typing import Final, TextIO

FLUSH_S: Final = 1.0
"""How long an ending process waits for the reader of its last lines."""


class QueuedHandler(logging.Handler):
    """Formats lines where they arise and writes them on a thread of its own.

    Args:
        stream: where the lines go; a file descriptor behind it is written to directly.
        limit: lines that may wait.
    """

    def __init__(self, stream: TextIO, limit: int) -> None:
        super().__init__()
        self._stream = stream
        try:
            self._fd: int | None = stream.fileno()
        except (io.UnsupportedOperation, AttributeError):
            self._fd = None
        self._limit = limit
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._unsaid = 0
        self.dropped = 0
        self._start()
        os.register_at_fork(after_in_child=self._start)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line, or drop it where the queue is full."""
        try:
            line = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if len(self._waiting) >= self._limit:
                self.dropped += 1
                self._unsaid += 1
                return
            if self._unsaid:
                line = self._confession(record, self._unsaid) + line
                self._unsaid = 0
            self._waiting.append(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all lines are out, or the reader has had its time."""
        deadline_s = time.monotonic() + FLUSH_S
        with self._changed:
            while self._waiting or self._busy:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    return

    def _confession(self, record: logging.LogRecord, count: int) -> str:
        text = f"{count} log lines were dropped: nobody read them"
        said = logging.LogRecord(
            __name__, logging.WARNING, record.pathname, record.lineno, text, (), None
        )
        return self.format(said) + "\n"

    def _start(self) -> None:
        """Begin to write; once more in a forked child, which has no such thread."""
        self._changed = threading.Condition()
        self._busy = False
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                line = self._waiting.popleft()
                self._busy = True
            with contextlib.suppress(OSError, ValueError):  # the reader is gone: go on without
                self._write(line)

    def _write(self, line: str) -> None:
        if self._fd is None:
            self._stream.write(line)
            self._stream.flush()
            return
        data = line.encode(errors="backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]
