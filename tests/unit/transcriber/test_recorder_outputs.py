"""What a recorder reports, by the names that clients know."""

from __future__ import annotations

from typing import get_args

from common.events import STOCK_EVENT_TYPES
from transcriber.recorder.outputs import NoticeType, RecorderOutput, RecordingText, SilenceCommit


def test_notices_are_exactly_the_stock_events_that_carry_nothing() -> None:
    with_content = {"realtime", "fullSentence", "transcription_start"}
    assert set(NoticeType) == STOCK_EVENT_TYPES - with_content


def test_a_notice_type_travels_as_its_name() -> None:
    assert f"{NoticeType.TURN_DETECTION_START}" == "start_turn_detection"


def test_a_sentence_happens_where_its_recording_stops() -> None:
    assert RecordingText("Hello.", 512, 16_384).at_sample == 16_384


def test_a_sentence_that_failed_says_why_and_has_no_text() -> None:
    assert RecordingText("Hello.", 0, 1).error == ""
    assert RecordingText("", 0, 1, "engine died").text == ""


def test_every_event_has_a_position_for_replays_to_be_recognised_by() -> None:
    for kind in get_args(RecorderOutput):
        assert kind is SilenceCommit or hasattr(kind, "at_sample")
