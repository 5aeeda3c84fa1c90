"""The sentences of a stream alone, as text or as subtitles, each as soon as it is heard."""

from __future__ import annotations

import enum
import sys
from typing import TextIO

from ..events import FullSentence, Report
from ..subtitles import Cue, srt_block, vtt_block, vtt_head
from .events import ClientEvent
from .stream import Stream


class OutputFormat(enum.StrEnum):
    """What ``--format`` takes."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"


class SentenceView:
    """Prints nothing but sentences.

    Args:
        output_format: not JSON, which has a view of its own.
    """

    def __init__(self, output_format: OutputFormat, out: TextIO | None = None) -> None:
        self._format = output_format
        self._out = out or sys.stdout
        self._count = 0

    def attach(self, stream: Stream, total_s: float | None) -> None:
        """The stream was opened."""
        if self._format is OutputFormat.VTT:
            self._print(vtt_head())

    def show(self, event: ClientEvent) -> None:
        """Print a sentence."""
        if not isinstance(event, FullSentence) or not event.text:
            return
        if self._format is OutputFormat.TEXT:
            self._print(f"{event.text}\n")
            return
        self._count += 1
        cue = Cue(event.start_ms or 0, event.end_ms or 0, event.text)
        is_srt = self._format is OutputFormat.SRT
        block = srt_block(self._count, cue) if is_srt else vtt_block(cue)
        # SubRip's blocks are separated by an empty line; WebVTT's head ends without one.
        self._print(f"\n{block}" if self._count > 1 or not is_srt else block)

    def close(self) -> None:
        """No more events come."""

    def report(self, report: Report | None) -> None:
        """The stream has ended; who wants its report does not ask for sentences alone."""

    def _print(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
