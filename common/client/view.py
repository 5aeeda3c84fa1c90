"""How ``stt-stream`` shows a stream: a live view, plain lines, or JSON lines."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Final, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..events import (
    Error,
    FramesLost,
    FrameVerdict,
    FullSentence,
    Healed,
    Notice,
    Realtime,
    Report,
    RetentionLimited,
    SessionStarted,
    TranscriberChanged,
    TranscriptionStart,
    to_json,
)
from .events import ClientEvent
from .stream import Stream

COLOURS: Final = {"ok": "green", "unverified": "yellow", "corrupt": "red"}
MOST_FAILURES_SHOWN: Final = 20


class View(Protocol):
    """Shows one stream."""

    def attach(self, stream: Stream, total_s: float | None) -> None:
        """The stream was opened; ``total_s``: seconds of audio to come, where they are known."""

    def show(self, event: ClientEvent) -> None:
        """An event arrived."""

    def close(self) -> None:
        """No more events come."""

    def report(self, report: Report | None) -> None:
        """The stream has ended."""


def worth_a_line(event: FrameVerdict) -> bool:
    """Whether a user wants to read of this frame, among thousands of good ones."""
    return event.verdict == "corrupt" or bool(event.diagnosis)


def verdict_line(event: FrameVerdict) -> str:
    """One line on one frame, in the words of the server's log."""
    frame = f"frame {event.sequence}"
    if event.verdict == "ok":
        return (
            f"[OK] {frame}: length {event.actual_length}, checksum {event.actual_checksum} "
            f"({event.latency_ms:.1f} ms)" + (f"; {event.diagnosis}" if event.diagnosis else "")
        )
    if event.verdict != "corrupt":
        return f"[--] {frame}: {event.diagnosis or event.verdict}"
    facts = []
    if event.expected_length is not None and event.expected_length != event.actual_length:
        facts.append(f"length expected {event.expected_length}, got {event.actual_length}")
    if (
        event.expected_checksum is not None
        and event.actual_checksum is not None
        and event.expected_checksum != event.actual_checksum
    ):
        facts.append(f"checksum expected {event.expected_checksum}, got {event.actual_checksum}")
    if event.diagnosis or event.likely:
        facts.append(event.diagnosis or f"probably {event.likely}")
    return f"[FAIL] {frame}: {'; '.join(facts) or 'corrupt'} (failure {event.failures})"


def notice_line(event: ClientEvent) -> str:
    """One line on an event that is neither a verdict nor text; "" for those not worth one."""
    match event:
        case SessionStarted(resumed=True, next_sequence=sequence):
            return f"[NOTE] session resumed at frame {sequence} of it"
        case SessionStarted(verify=False):
            return "[NOTE] the server does not verify (start it with --verify-data-integrity)"
        case Healed(sequence=sequence, attempts=attempts, delay_ms=delay_ms):
            late = f"{delay_ms:.0f} ms late"
            return f"[HEALED] frame {sequence} arrived as sent at attempt {attempts}, {late}"
        case FramesLost(kind=kind, expected=expected, got=got):
            return f"[WARNING] frames {kind}: expected frame {expected}, got {got}"
        case RetentionLimited(message=message):
            return f"[WARNING] {message}"
        case TranscriberChanged(state=state, replayed=replayed):
            again = f", {replayed} frames replayed" if replayed else ""
            return f"[NOTE] transcriber: {state}{again}"
        case Error(error=error, message=message):
            return f"[ERROR] {error}: {message}"
    return ""


def progress(sent_s: float, total_s: float | None, elapsed_s: float) -> str:
    """How far a stream is: seconds of audio sent, how fast, and the time that is left."""
    rate = sent_s / elapsed_s if elapsed_s > 0 else 0.0
    if total_s is None:
        return f"{sent_s:.1f} s at {rate:.1f}x"
    left_s = max(0.0, total_s - sent_s) / rate if rate else 0.0
    return f"{min(sent_s, total_s):.1f} of {total_s:.1f} s at {rate:.1f}x, {left_s:.0f} s left"


def report_tables(report: Report) -> list[Table]:
    """The session report as one or two tables."""
    summary = Table(title="Session report", show_header=False, title_justify="left")
    summary.add_column(style="bold")
    summary.add_column(justify="right")
    unjudged = report.frames - report.ok - report.unverified - report.corrupt
    rows: list[tuple[str, object]] = [
        ("frames", report.frames),
        ("audio", f"{report.audio_seconds:.1f} s"),
        ("ok", report.ok),
        ("unverified", report.unverified),
        ("corrupt", report.corrupt),
        ("healed", report.healed),
        ("not judged, after a rejection", unjudged),
        ("lost / repeated / reordered", f"{report.lost} / {report.repeated} / {report.reordered}"),
        ("retransmissions", report.retransmissions),
        ("replays", report.replays),
        ("sentences", report.sentences),
    ]
    for name, value in rows:
        if value is not unjudged or unjudged:
            summary.add_row(name, str(value))
    if report.verdict_latency_ms:
        values = ", ".join(f"{k} {v:.1f}" for k, v in report.verdict_latency_ms.items())
        summary.add_row("verdict latency", f"{values} ms")
    tables = [summary]
    if report.failures:
        title = f"Corrupt frames ({len(report.failures)})"
        failures = Table("frame", "length", "checksum", "diagnosis", title=title)
        for failure in report.failures[:MOST_FAILURES_SHOWN]:
            failures.add_row(
                str(failure.sequence),
                f"{failure.expected_length} → {failure.actual_length}",
                f"{failure.expected_checksum} → {failure.actual_checksum}",
                failure.diagnosis or (f"probably {failure.likely}" if failure.likely else ""),
            )
        tables.append(failures)
    return tables


class JsonView:
    """Each event as one line of JSON, the report among them.

    Args:
        audio: show the audio of each utterance, which is most of the bytes.
    """

    def __init__(self, out: TextIO = sys.stdout, *, audio: bool = False) -> None:
        self._out = out
        self._audio = audio

    def attach(self, stream: Stream, total_s: float | None) -> None:
        """Nothing to show."""

    def show(self, event: ClientEvent) -> None:
        """Print the event as it came, with the client's frame numbers."""
        if isinstance(event, TranscriptionStart) and not self._audio:
            event = Notice(event.type)
        print(to_json(event), file=self._out, flush=True)

    def close(self) -> None:
        """Nothing to show."""

    def report(self, report: Report | None) -> None:
        """It was printed as an event."""


class PlainView:
    """Lines for a log file or a pipe: each verdict, each sentence.

    Args:
        quiet: leave out the verdicts of frames that there is nothing to say of.
    """

    def __init__(self, out: TextIO = sys.stdout, *, quiet: bool = False) -> None:
        self._out = out
        self._quiet = quiet
        self._console = Console(file=out, width=100 if not out.isatty() else None)

    def attach(self, stream: Stream, total_s: float | None) -> None:
        """Nothing to show."""

    def show(self, event: ClientEvent) -> None:
        """Print a line, if the event is worth one."""
        if isinstance(event, FullSentence):
            line = f"[TEXT] {event.text}"
        elif isinstance(event, FrameVerdict):
            line = "" if self._quiet and not worth_a_line(event) else verdict_line(event)
        else:
            line = notice_line(event)
        if line:
            print(line, file=self._out, flush=True)

    def close(self) -> None:
        """Nothing to show."""

    def report(self, report: Report | None) -> None:
        """Print the tables."""
        if report is not None:
            self._console.print(*report_tables(report))


class LiveView:
    """A strip of verdicts and the partial text, kept at the bottom; sentences scroll above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._stream: Stream | None = None
        self._strip: deque[str] = deque(maxlen=max(20, self._console.width - 2))
        self._partial = ""
        self._latency_ms = 0.0
        self._total_s: float | None = None
        self._began_s = 0.0
        self._closed = False
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=10)

    def attach(self, stream: Stream, total_s: float | None) -> None:
        """Start the live view."""
        self._stream = stream
        self._total_s = total_s
        self._began_s = time.monotonic()
        self._live.start()

    def show(self, event: ClientEvent) -> None:
        """Take an event into the view."""
        match event:
            case FrameVerdict():
                self._strip.append(event.verdict)
                self._latency_ms += (event.latency_ms - self._latency_ms) / 8
                if worth_a_line(event):
                    style = "red" if event.verdict == "corrupt" else "yellow"
                    self._console.print(Text(verdict_line(event), style=style))
            case Realtime(text=text):
                self._partial = text
            case FullSentence(text=text):
                self._partial = ""
                self._console.print(Text(text, style="bold"))
            case _ if line := notice_line(event):
                self._console.print(Text(line, style="red" if "[ERROR]" in line else "yellow"))

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._closed = True
        self._live.stop()

    def report(self, report: Report | None) -> None:
        """Print the tables below it."""
        if report is not None:
            self._console.print(*report_tables(report))

    def _render(self) -> RenderableType:
        stream = self._stream
        if stream is None:
            return Text("")
        strip = Text(no_wrap=True, overflow="crop")
        for verdict in self._strip:
            strip.append("█", style=COLOURS.get(verdict, "white"))
        counts = Text(no_wrap=True, overflow="ellipsis")
        for name, count in (
            ("ok", stream.verdicts.ok),
            ("unverified", stream.verdicts.unverified),
            ("corrupt", stream.verdicts.corrupt),
        ):
            counts.append(f"{name} {count}  ", style=COLOURS[name] if count else "dim")
        counts.append(f"of {stream.frames} frames  {self._latency_ms:.1f} ms", style="dim")
        if not stream.connected and not self._closed:
            counts.append("  not connected", style="bold red")
        if not self._closed:
            elapsed_s = time.monotonic() - self._began_s
            counts.append(f"  {progress(stream.sent_s, self._total_s, elapsed_s)}", style="dim")
        return Group(strip, counts, Text(self._partial or " ", style="italic dim"))
