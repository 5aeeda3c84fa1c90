"""A real recorder behind a wake word detector that hears what the test says."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from common.recognition_settings import RecorderSettings
from tests.integration.recorder_tools import stream
from tests.speech import load, silence
from transcriber.recorder.outputs import (
    NoticeType,
    StateNotice,
)
from transcriber.scheduler import Scheduler

BRIDGE = "bridge"
MOUNTAINS = "mountains"
CITY = "city"


class FakePorcupine:
    """Hears its wake word in one loud click."""

    frame_length = 512
    sample_rate = 16_000

    def process(self, pcm: tuple[int, ...]) -> int:
        return 0 if max(pcm) == 32_767 else -1


CLICK = np.array([32_767] + [0] * 511, dtype="<i2").tobytes()


@pytest.fixture
def porcupine(monkeypatch: pytest.MonkeyPatch) -> RecorderSettings:
    module = types.ModuleType("pvporcupine")
    module.create = lambda **_: FakePorcupine()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pvporcupine", module)
    return RecorderSettings(wake_words="porcupine", wakeword_backend="pvporcupine")


def test_only_speech_after_the_wake_word_is_recorded(
    scheduler: Scheduler, porcupine: RecorderSettings
) -> None:
    pcm = silence(1) + load(CITY) + silence(1.6) + CLICK + silence(0.1) + load(BRIDGE)
    pcm += silence(2) + load(CITY) + silence(2.4) + CLICK + silence(0.2) + load(MOUNTAINS)
    client = stream(scheduler, pcm, porcupine)
    assert len(client.sentences) == 2
    first, second = client.sentences
    spoken_first = (silence(1) + load(CITY) + silence(1.6), load(BRIDGE))
    assert first.start_sample < len(b"".join(spoken_first)) // 2 < first.end_sample
    assert second.start_sample > first.end_sample
    kinds = [event.type for event in client.of(StateNotice)]
    assert kinds.count(NoticeType.WAKEWORD_DETECTED) == 2
    assert kinds.count(NoticeType.WAKEWORD_DETECTION_START) >= 2
    assert NoticeType.WAKEWORD_DETECTION_END in kinds


def test_a_wake_word_without_speech_runs_out(
    scheduler: Scheduler, porcupine: RecorderSettings
) -> None:
    client = stream(scheduler, silence(1) + CLICK + silence(6) + load(CITY), porcupine)
    assert client.sentences == []
    assert client.session.get_parameter("use_wake_words") is True


# -- a good neighbour in its process ---------------------------------------------------------------
