"""The audit log: who came in, who did not, what they did. JSON lines; no audio, no text.

Lines are appended by a thread of their own, so that a slow disk stops nobody; a bounded number of
them waits, and of what is lost over that the next line says how much. Names of keys and addresses
are in it, never keys, tokens or session ids.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import queue
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from common.errors import SettingsError
from common.logs import LogBudget

QUEUE_LINES: Final = 1_000
BUDGETS: Final = {
    "authentication_refused": (200, 20.0),
    "limit_hit": (200, 20.0),
    "command": (500, 50.0),
    "session_begun": (500, 50.0),
    "session_ended": (500, 50.0),
}
"""Lines at once, and each second, of what a client can bring about at will: a flood of one kind
must neither rotate away what else happened nor hide another kind."""


class _Appending(logging.handlers.RotatingFileHandler):
    """Rotates; its files are for their user alone."""

    _fails = False
    _failed_before = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line."""
        self._fails, self._failed_before = False, self._fails
        super().emit(record)

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A full disk is told once, not once a line, and ends nothing."""
        self._fails = True
        if self._failed_before:
            return
        logging.getLogger(__name__).error("the audit log cannot be written: line %s", record.msg)


class AuditLog:
    """Appends events to a file; without one, does nothing.

    Args:
        path: "" for none.
        max_bytes: at which the file is rotated to ``.1``, that to ``.2``, and so on.
        files: rotated ones that are kept.

    Raises:
        SettingsError: the file cannot be appended to.
    """

    def __init__(self, path: str, max_bytes: int, files: int) -> None:
        self._number = 0
        self._lost = 0
        self._budgets = {event: LogBudget(*budget) for event, budget in BUDGETS.items()}
        self._queue: queue.Queue[Any] = queue.Queue(QUEUE_LINES)
        self._listener: logging.handlers.QueueListener | None = None
        if not path:
            return
        try:
            handler = _Appending(
                Path(path), maxBytes=max_bytes, backupCount=files, encoding="utf-8"
            )
        except OSError as error:
            raise SettingsError(f"cannot append to --audit-log {path}: {error}") from None
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._listener = logging.handlers.QueueListener(self._queue, handler)
        self._listener.start()

    def write(self, event: str, **facts: object) -> None:
        """Append one event; never waits.

        Args:
            facts: small values; strings are cut at 500 characters.
        """
        if self._listener is None:
            return
        budget = self._budgets.get(event)
        if budget is not None and not budget.allow(time.monotonic()):
            self._lost += 1
            return
        self._number += 1
        entry: dict[str, object] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "number": self._number,
            "event": event,
            **{name: _short(value) for name, value in facts.items()},
        }
        if self._lost:
            entry["lost_before"] = self._lost
        line = json.dumps(entry, default=str)
        try:
            self._queue.put_nowait(logging.makeLogRecord({"msg": line}))
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, and close the file."""
        if self._listener is not None:
            self._listener.stop()
            for handler in self._listener.handlers:
                handler.close()
            self._listener = None


def _short(value: object) -> object:
    return value[:500] if isinstance(value, str) else value
