"""Partials of sessions that speak in short and in long sentences, on an engine that costs by audio.

The scheduler and its threads are real; the accelerator is modelled: 10 ms a call, 20 ms for each
second of audio. 3 s.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.bench.modelled_engine import Accelerator, ModelledEngine
from transcriber.engines.base import FloatAudio
from transcriber.schedule import Dropped
from transcriber.scheduler import Listeners, Scheduler

ENOUGH = 12


@pytest.fixture
def dropped() -> Counter[Dropped]:
    return Counter()


@pytest.fixture
def make(dropped: Counter[Dropped]) -> Iterator[Callable[[float], Scheduler]]:
    made: list[Scheduler] = []

    def scheduler(max_partial_cost_s: float) -> Scheduler:
        engine = ModelledEngine(Accelerator.of(0.01, 0.0), per_s=0.02)
        made.append(
            Scheduler(
                engine,
                realtime_deadline_s=0.2,
                max_partial_cost_s=max_partial_cost_s,
                listeners=Listeners(on_dropped=lambda why: dropped.update([why])),
            )
        )
        return made[-1]

    yield scheduler
    for each in made:
        each.close()


def recording(seconds: float) -> FloatAudio:
    return np.zeros(int(seconds * 16_000), dtype=np.float32)


def partials(scheduler: Scheduler, seconds: dict[str, float]) -> Counter[str]:
    """Partials that sessions had until the first of them had enough, each asking again at once."""
    counts: Counter[str] = Counter()
    done = threading.Event()

    def speak(session: str, audio: FloatAudio) -> None:
        executor = scheduler.realtime_executor(session)
        while not done.is_set():
            counts[session] += bool(executor.transcribe(audio).text)
            if counts[session] >= ENOUGH:
                done.set()

    threads = [
        threading.Thread(target=speak, args=(session, recording(length_s)))
        for session, length_s in seconds.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return counts


def test_a_long_sentence_has_few_partials_and_takes_none_from_short_ones(
    make: Callable[[float], Scheduler], dropped: Counter[Dropped]
) -> None:
    """Each 20 s take as long as 14 times 1 s, and finals would wait behind them."""
    counts = partials(make(60.0), {"short": 1.0, "long": 20.0})
    assert counts["short"] >= ENOUGH
    assert counts["long"] <= ENOUGH / 3
    assert dropped[Dropped.SHARE] > 0


def test_of_what_costs_too_much_there_are_no_partials(
    make: Callable[[float], Scheduler], dropped: Counter[Dropped]
) -> None:
    scheduler = make(0.2)
    scheduler.realtime_executor("first").transcribe(recording(1.0))
    counts = partials(scheduler, {"short": 1.0, "long": 20.0})
    assert counts["short"] >= ENOUGH
    assert counts["long"] == 0
    assert dropped[Dropped.COST] > 0
