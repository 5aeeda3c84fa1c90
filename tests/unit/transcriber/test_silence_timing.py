"""The pause that ends a sentence."""

from __future__ import annotations

import pytest

from common.recognition_settings import RecorderSettings
from transcriber.recorder.silence_timing import SilenceTiming

OPTIONS = RecorderSettings(silence_timing=True)
UNKNOWN = OPTIONS.unknown_sentence_detection_pause
MIDDLE = OPTIONS.mid_sentence_detection_pause
END = OPTIONS.end_of_sentence_detection_pause


@pytest.mark.parametrize(
    "partials, pauses",
    [
        (["When the", "When the sky..."], [UNKNOWN, MIDDLE]),
        (["When the sky...'"], [MIDDLE]),
        (["It is blue.", "It is blue."], [UNKNOWN, END]),
        (["It is...", "It is blue."], [MIDDLE, UNKNOWN]),
        (["Really?", "Really!"], [UNKNOWN, END]),
        ([""], [UNKNOWN]),
    ],
)
def test_pause_after(partials: list[str], pauses: list[float]) -> None:
    timing = SilenceTiming(OPTIONS)
    assert [timing.pause_after(text) for text in partials] == pauses


def test_a_new_sentence_starts_without_a_past() -> None:
    timing = SilenceTiming(OPTIONS)
    timing.pause_after("It is blue.")
    timing.restart()
    assert timing.pause_after("Yes.") == UNKNOWN
