"""Latency: what a speaker waits for."""

from __future__ import annotations

from transcriber.latency import SpeechLatency
from transcriber.recorder.outputs import NoticeType


def test_the_final_is_timed_from_the_silence_that_ended_the_recording() -> None:
    latency = SpeechLatency()
    latency.notice(NoticeType.RECORDING_START, 1.0)
    latency.notice(NoticeType.TURN_DETECTION_START, 2.0)  # a pause within the sentence
    latency.notice(NoticeType.TURN_DETECTION_STOP, 2.5)
    latency.notice(NoticeType.TURN_DETECTION_START, 4.0)
    latency.notice(NoticeType.RECORDING_STOP, 4.75)
    assert latency.text(5.0) == 1.0


def test_a_recording_without_silence_is_timed_from_its_stop() -> None:
    latency = SpeechLatency()
    latency.notice(NoticeType.RECORDING_START, 1.0)
    latency.notice(NoticeType.RECORDING_STOP, 31.0)
    assert latency.text(31.5) == 0.5


def test_texts_belong_to_recordings_in_their_order() -> None:
    latency = SpeechLatency()
    for at_s in (1.0, 2.0):
        latency.notice(NoticeType.RECORDING_START, at_s)
        latency.notice(NoticeType.RECORDING_STOP, at_s + 0.5)
    assert latency.text(3.0) == 1.5
    assert latency.text(3.0) == 0.5
    assert latency.text(3.0) is None


def test_only_the_first_partial_of_a_recording_is_timed() -> None:
    latency = SpeechLatency()
    assert latency.partial(0.5) is None
    latency.notice(NoticeType.RECORDING_START, 1.0)
    assert latency.partial(1.5) == 0.5
    assert latency.partial(2.0) is None
