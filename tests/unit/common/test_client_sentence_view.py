"""Sentences alone, as ``stt-stream --format`` prints them."""

from __future__ import annotations

import io
from typing import Any

import pytest

from common.client.sentence_view import OutputFormat, SentenceView
from common.events import FullSentence, Realtime
from common.subtitles import Cue, to_srt, to_vtt

NO_STREAM: Any = None
SENTENCES = [FullSentence("One.", 0, 500, 1500), FullSentence("Two & more.", 0, 2000, 3000)]


def printed(output_format: OutputFormat, *events: FullSentence | Realtime) -> str:
    out = io.StringIO()
    view = SentenceView(output_format, out)
    view.attach(NO_STREAM, None)
    for event in events:
        view.show(event)
    view.close()
    view.report(None)
    return out.getvalue()


def test_text_is_a_line_each_and_nothing_else() -> None:
    heard = (Realtime("one"), SENTENCES[0], FullSentence(""), SENTENCES[1])
    assert printed(OutputFormat.TEXT, *heard) == "One.\nTwo & more.\n"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_subtitles_grow_into_the_file_that_is_made_at_once(count: int) -> None:
    cues = [Cue(e.start_ms or 0, e.end_ms or 0, e.text) for e in SENTENCES[:count]]
    assert printed(OutputFormat.SRT, *SENTENCES[:count]) == to_srt(cues)
    assert printed(OutputFormat.VTT, *SENTENCES[:count]) == to_vtt(cues)
