"""Subtitles that players read."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from common.subtitles import Cue, to_srt, to_vtt

CUES = [Cue(500, 3_661_001, "One."), Cue(3_661_500, 3_662_000, "Two & <three>.")]


def test_webvtt() -> None:
    assert to_vtt(CUES) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.500 --> 01:01:01.001\n"
        "One.\n"
        "\n"
        "01:01:01.500 --> 01:01:02.000\n"
        "Two &amp; &lt;three&gt;.\n"
    )


def test_subrip() -> None:
    assert to_srt(CUES) == (
        "1\n"
        "00:00:00,500 --> 01:01:01,001\n"
        "One.\n"
        "\n"
        "2\n"
        "01:01:01,500 --> 01:01:02,000\n"
        "Two & <three>.\n"
    )


def test_nothing() -> None:
    assert to_vtt([]) == "WEBVTT\n"
    assert to_srt([]) == ""


@given(st.text(max_size=40))
def test_no_text_breaks_a_cue_in_two(text: str) -> None:
    blocks = [block for block in re.split(r"\n\n", to_srt([Cue(0, 1, text)])) if block.strip()]
    assert len(blocks) == 1
