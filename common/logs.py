"""Log lines: text for people, or JSON lines with the same facts for machines.

A record may carry facts in ``extra={"facts": {...}}``: the text form shows the message alone, the
JSON form adds the facts as fields.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

from common.log_queue import QueuedHandler
from common.settings import StageSettings
from common.wire import printable

INTEGRITY_LOGGER: Final = "integrity"
"""Lines of this logger have a layout and time stamps of their own."""

TEXT_LOGGER: Final = "texts"
"""Its lines hold what somebody said."""
RECORDER_LOGGER: Final = "realtimestt"
"""RealtimeSTT colours some of its lines, for a terminal of its own."""
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")

OTHER_ENGINE: Final = re.compile(r"transcription model|[Mm]odel \S+ completed|text detected with")
"""RealtimeSTT names the engine and the model that it would load, were none injected."""

MAX_TEMPLATES: Final = 1_000
ALL_KINDS: Final = 10
"""All kinds of lines together may be so many times what one kind may be."""
LOCAL: Final = datetime.now(UTC).astimezone().tzinfo


class TextFormatter(logging.Formatter):
    """``[HH:MM:SS.mmm] LEVEL message``; lines of the integrity logger are printed as they are."""

    def format(self, record: logging.LogRecord) -> str:
        """One or more lines of text."""
        text = record.getMessage()
        if record.name == RECORDER_LOGGER:
            text = COLOUR.sub("", text)
        if record.name != INTEGRITY_LOGGER:
            text = f"[{clock(record.created)}] {record.levelname:<7} {printable(text)}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        # A terminal must not obey what a peer sent; only our own lines are broken.
        return "\n".join(map(printable, text.split("\n")))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, stage, logger, message, and the record's facts."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self._stage = stage

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=LOCAL).isoformat(),
            "level": record.levelname.lower(),
            "stage": self._stage,
            "logger": record.name,
            "message": record.getMessage().strip(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def clock(time_s: float | None = None) -> str:
    """Local time of day as the log lines show it: ``21:04:39.891``."""
    moment = datetime.fromtimestamp(time.time() if time_s is None else time_s, tz=LOCAL)
    return moment.strftime("%H:%M:%S.%f")[:-3]


class HandshakeFilter(logging.Filter):
    """One line for a connection that is no WebSocket: a stranger's fault needs no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True; the record is shortened."""
        if record.msg == "opening handshake failed" and isinstance(record.exc_info, tuple):
            error = record.exc_info[1]
            record.msg = "a connection was refused, it is not a WebSocket's: %s"
            record.args = (str(getattr(error, "__cause__", None) or error),)
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


class FloodFilter(logging.Filter):
    """Bounds the lines of each kind, so that no peer can fill a disk with what it provokes.

    Lines of one message template share a budget, and so do all kinds together; how many were left
    out is said with the next that passes. The integrity logger, which has budgets per client, is
    not filtered. RealtimeSTT tells each of its states: only from ``recorder_level`` on is that
    printed, in one budget, and not what it says of its own engine and model, which do not run.
    """

    def __init__(
        self, burst: int = 100, per_second: float = 20.0, recorder_level: int = logging.WARNING
    ) -> None:
        super().__init__()
        self._recorder_level = recorder_level
        self._burst = burst
        self._per_second = per_second
        self._budgets: dict[tuple[str, str], LogBudget] = {}
        self._all = LogBudget(ALL_KINDS * burst, ALL_KINDS * per_second)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is printed."""
        if record.name == INTEGRITY_LOGGER:
            return True
        kind = str(record.msg)[:80]
        if record.name == RECORDER_LOGGER:
            if record.levelno < self._recorder_level:
                return False
            if record.levelno < logging.WARNING:
                if OTHER_ENGINE.search(record.getMessage()):
                    return False
                kind = ""
        key = (record.name, kind)
        budget = self._budgets.get(key)
        if budget is None:
            if len(self._budgets) >= MAX_TEMPLATES:
                self._budgets.clear()
            budget = self._budgets[key] = LogBudget(self._burst, self._per_second)
        if not budget.allow(record.created) or not self._all.allow(record.created):
            return False
        if suppressed := budget.take_suppressed():
            record.msg = f"{record.getMessage()} ({suppressed} more lines like this were left out)"
            record.args = None
        return True


def configure(stage: str, settings: StageSettings) -> QueuedHandler:
    """Send all log lines of this process to standard output in the form that was asked for."""
    handler = QueuedHandler(sys.stdout, settings.log_queue)
    handler.addFilter(HandshakeFilter())
    recorder_level = logging.INFO if settings.debug else logging.WARNING
    if settings.debug and settings.use_extended_logging:
        recorder_level = logging.DEBUG
    handler.addFilter(FloodFilter(recorder_level=recorder_level))
    handler.setFormatter(JsonFormatter(stage) if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(
        handlers=[handler], level=logging.DEBUG if settings.debug else logging.INFO, force=True
    )
    texts_shown = settings.text_logs or settings.debug
    logging.getLogger(TEXT_LOGGER).setLevel(logging.INFO if texts_shown else logging.ERROR)
    for noisy in ("websockets", "asyncio", "faster_whisper", "numba", "urllib3", "zmq"):
        logging.getLogger(noisy).setLevel(logging.INFO if settings.debug else logging.ERROR)
    return handler


class LogBudget:
    """Bounds how many lines one source may log: ``burst`` at once, then ``per_second``.

    Holds no clock: the caller passes ``now_s``.
    """

    def __init__(self, burst: int, per_second: float) -> None:
        self._tokens = float(burst)
        self._burst = burst
        self._per_second = per_second
        self._last_s: float | None = None
        self._suppressed = 0

    def allow(self, now_s: float) -> bool:
        """Whether one more line may be logged now; otherwise it is counted as suppressed."""
        if self._last_s is not None:
            refill = (now_s - self._last_s) * self._per_second
            self._tokens = min(self._burst, self._tokens + refill)
        self._last_s = now_s
        if self._tokens < 1:
            self._suppressed += 1
            return False
        self._tokens -= 1
        return True

    def take_suppressed(self) -> int:
        """How many lines were suppressed since the last call."""
        count, self._suppressed = self._suppressed, 0
        return count
