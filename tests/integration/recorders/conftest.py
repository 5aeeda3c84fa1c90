"""What tests of real recorders share: an engine, its scheduler, a conversation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.recorder_tools import HashEngine, with_noise
from tests.speech import load, silence
from transcriber.recorder.recorder import preload
from transcriber.scheduler import Scheduler

BRIDGE = "bridge"
MOUNTAINS = "mountains"
CITY = "city"
NUMBERS = "numbers"


@pytest.fixture(scope="module", autouse=True)
def realtimestt() -> None:
    preload()


@pytest.fixture
def engine() -> HashEngine:
    return HashEngine()


@pytest.fixture
def scheduler(engine: HashEngine) -> Iterator[Scheduler]:
    scheduler = Scheduler(engine)
    yield scheduler
    scheduler.close()


@pytest.fixture(scope="module")
def conversation() -> bytes:
    """Five utterances with short and long pauses, in light noise: 40 s."""
    pcm = silence(1) + load(BRIDGE) + silence(1) + load(MOUNTAINS) + silence(0.8) + load(CITY)
    pcm += silence(13.3) + load(NUMBERS) + silence(0.9) + load(BRIDGE) + silence(6.1)
    return with_noise(pcm, level=30)
