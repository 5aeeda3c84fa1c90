"""Subtitles: sentences with their times as WebVTT or SubRip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Cue(NamedTuple):
    """One sentence on the screen; times in ms of audio since the beginning."""

    start_ms: int
    end_ms: int
    text: str


def to_vtt(cues: Iterable[Cue]) -> str:
    """A WebVTT file."""
    return "\n".join([vtt_head(), *map(vtt_block, cues)])


def vtt_head() -> str:
    """What a WebVTT file begins with; an empty line follows before each cue."""
    return "WEBVTT\n"


def vtt_block(cue: Cue) -> str:
    """One cue of a WebVTT file."""
    times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
    return f"{times}\n{_vtt_text(cue.text)}\n"


def to_srt(cues: Iterable[Cue]) -> str:
    """A SubRip file."""
    return "\n".join(srt_block(number, cue) for number, cue in enumerate(cues, start=1))


def srt_block(number: int, cue: Cue) -> str:
    """One cue of a SubRip file; numbers begin at 1."""
    times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
    return f"{number}\n{times}\n{_line(cue.text)}\n"


def _clock(ms: int, point: str) -> str:
    seconds, rest = divmod(max(0, ms), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{rest:03d}"


def _line(text: str) -> str:
    """A cue ends at an empty line, so a text has none."""
    return " ".join(text.split())


def _vtt_text(text: str) -> str:
    return _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
