from __future__ import annotations

import asyncio

import pytest

from common.client.errors import ResultsOverflowError
from common.client.events import ClientEvent, EventQueue, PendingEvents
from common.events import Acknowledged, FrameVerdict, FullSentence, Notice, Realtime


def verdict(sequence: int) -> FrameVerdict:
    return FrameVerdict(sequence=sequence, verdict="ok", latency_ms=1.0)


def drain(pending: PendingEvents) -> list[ClientEvent]:
    events = []
    while (event := pending.get()) is not None:
        events.append(event)
    return events


def test_events_come_out_in_order() -> None:
    pending = PendingEvents(10)
    events: list[ClientEvent] = [
        Notice("recording_start"),
        Realtime("a"),
        verdict(0),
        FullSentence("a b"),
    ]
    for event in events:
        pending.put(event)
    assert drain(pending) == events


def test_only_the_latest_partial_result_waits() -> None:
    pending = PendingEvents(10)
    for text in ("a", "a b", "a b c"):
        pending.put(Realtime(text))
        pending.put(verdict(0))
    assert [e for e in drain(pending) if isinstance(e, Realtime)] == [Realtime("a b c")]


def test_a_partial_result_that_was_read_does_not_swallow_the_next() -> None:
    pending = PendingEvents(10)
    pending.put(Realtime("a"))
    assert pending.get() == Realtime("a")
    pending.put(Realtime("b"))
    assert drain(pending) == [Realtime("b")]


def test_at_the_bound_old_verdicts_go_and_sentences_stay() -> None:
    pending = PendingEvents(20)
    sentences = [FullSentence(str(number)) for number in range(10)]
    for number, sentence in enumerate(sentences):
        pending.put(sentence)
        for _ in range(10):
            pending.put(verdict(number))
        pending.put(Acknowledged(number, number))
    assert len(pending) <= 20
    assert pending.dropped > 0
    events = drain(pending)
    assert [e for e in events if isinstance(e, FullSentence)] == sentences
    assert events[-1] == Acknowledged(9, 9)


def test_a_reader_that_stopped_overflows_rather_than_lose_a_sentence() -> None:
    pending = PendingEvents(5)
    pending.get()
    for number in range(5):
        pending.put(FullSentence(str(number)))
    with pytest.raises(ResultsOverflowError, match="6 results wait unread"):
        pending.put(FullSentence("5"))


def test_a_user_of_callbacks_who_never_reads_keeps_the_latest() -> None:
    pending = PendingEvents(5)
    for number in range(9):
        pending.put(FullSentence(str(number)))
    assert len(pending) == 5
    assert pending.dropped == 4
    assert pending.get() == FullSentence("4")


async def test_a_waiting_reader_is_woken_by_an_event_and_by_the_end() -> None:
    queue = EventQueue(10)
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(Realtime("a"))
    assert await reader == Realtime("a")
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    assert await reader is None
    assert await queue.get() is None
