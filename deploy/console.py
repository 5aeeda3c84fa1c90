"""What the terminal shows: the lines of all stages, each led by its stage's name.

With ``--log-format json`` every line is one JSON object and carries the name as ``stage``.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import select
from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from common.logs import LOCAL

NAME_WIDTH: Final = len("transcriber-1")
OWN_NAME: Final = "stt-server"
MAX_LINE_BYTES: Final = 1 << 16
"""Output without a line break is shown after so much of it."""
WRITE_BYTES: Final = 4096
"""A pipe that select(2) calls writable takes this many bytes (PIPE_BUF) without blocking."""
PATIENCE_S: Final = 0.2
_COLOURS: Final = {"gateway": 36, "verifier": 35, "transcriber": 33, OWN_NAME: 1}


class Tone(enum.IntEnum):
    """How a line of stt-server itself is meant; the values are ANSI colours."""

    PLAIN = 0
    GOOD = 32
    BAD = 31


class LineBuffer:
    """Cuts each stage's output into lines."""

    def __init__(self) -> None:
        self._rests: defaultdict[str, bytes] = defaultdict(bytes)

    def feed(self, name: str, data: bytes) -> list[str]:
        """The lines that ``data`` completes."""
        *lines, rest = (self._rests[name] + data).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines.append(rest)
            rest = b""
        self._rests[name] = rest
        return [_text(line) for line in lines]

    def end(self, name: str) -> list[str]:
        """What a stage that has ended left without a line break."""
        rest = self._rests.pop(name, b"")
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


class TextStyle:
    """``verifier-1    | line``, in colour for a terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def stage_line(self, name: str, line: str) -> str:
        """One line of a stage."""
        label = f"{name:<{NAME_WIDTH}} |"
        if self._colour:
            label = f"\x1b[{_COLOURS.get(name.partition('-')[0], 1)}m{label}\x1b[0m"
        return f"{label} {line}"

    def own_line(self, text: str, tone: Tone, **_: Any) -> str:
        """One line of stt-server."""
        if self._colour and tone:
            text = f"\x1b[1;{tone}m{text}\x1b[0m"
        return self.stage_line(OWN_NAME, text)


class JsonStyle:
    """One JSON object a line; what a stage printed in another form becomes its ``message``."""

    def stage_line(self, name: str, line: str) -> str:
        """One line of a stage."""
        entry: Any = None
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
        if not isinstance(entry, dict):
            entry = _entry("info", "output", line)
        return json.dumps({**entry, "stage": name}, ensure_ascii=False)

    def own_line(self, text: str, tone: Tone, **facts: Any) -> str:
        """One line of stt-server, with facts as further fields."""
        level = "error" if tone is Tone.BAD else "info"
        entry = _entry(level, "deploy", text) | {"stage": OWN_NAME} | facts
        return json.dumps(entry, ensure_ascii=False)


def _entry(level: str, logger: str, message: str) -> dict[str, Any]:
    moment = datetime.now(LOCAL).isoformat()
    return {"time": moment, "level": level, "logger": logger, "message": message}


class Console:
    """Writes lines to a file descriptor, and waits but an instant for whoever reads it.

    A reader that stalls (a paused terminal) would otherwise stall the supervisor, then the
    stages' pipes, and so the audio: its lines are dropped and counted instead.
    """

    def __init__(self, fd: int, log_format: str) -> None:
        self._fd = fd
        colour = os.isatty(fd) and "NO_COLOR" not in os.environ
        self._style = JsonStyle() if log_format == "json" else TextStyle(colour=colour)
        self._buffer = LineBuffer()
        self._dropped = 0
        self._torn = False
        self._stalled = False

    def stage_output(self, name: str, data: bytes) -> None:
        """Show what a stage printed."""
        for line in self._buffer.feed(name, data):
            self._write(self._style.stage_line(name, line))

    def stage_ended(self, name: str) -> None:
        """Show the rest of an ended stage's output."""
        for line in self._buffer.end(name):
            self._write(self._style.stage_line(name, line))

    def say(self, text: str, tone: Tone = Tone.PLAIN, **facts: Any) -> None:
        """Show a line of stt-server itself; ``facts`` are fields of its JSON form."""
        self._write(self._style.own_line(text, tone, **facts))

    def _write(self, line: str) -> None:
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._put(self._style.own_line(f"{count} lines dropped: nobody read", Tone.BAD))
            if self._dropped:  # not even that line went out
                self._dropped += count
                return
        self._put(line)

    def _put(self, line: str) -> None:
        data = (b"\n" if self._torn else b"") + f"{line}\n".encode()
        size = len(data)
        while data:
            sent = self._send(data[:WRITE_BYTES])
            if not sent:
                self._dropped += 1
                self._stalled = True
                self._torn = self._torn or len(data) < size
                return
            data = data[sent:]
        self._torn = self._stalled = False

    def _send(self, data: bytes) -> int:
        patience_s = 0.0 if self._stalled else PATIENCE_S
        if not select.select([], [self._fd], [], patience_s)[1]:
            return 0
        try:
            return os.write(self._fd, data)
        except OSError:  # the reader is gone; the system goes on without one
            return 0
