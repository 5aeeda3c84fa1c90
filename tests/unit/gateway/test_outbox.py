"""The bounded queue of events to one connection."""

from __future__ import annotations

import asyncio

import pytest

from common.events import Acknowledged, FrameVerdict, FullSentence, Realtime
from gateway.outbox import AsyncOutbox, Outbox, OutboxOverflowError, Queued


def contents(outbox: Outbox) -> list[Queued]:
    events = []
    while (event := outbox.take()) is not None:
        events.append(event)
    return events


def test_only_the_latest_partial_and_ack_wait() -> None:
    outbox = Outbox(10)
    for event in (Realtime("a"), Acknowledged(1, 0), Realtime("a b"), Acknowledged(2, 0)):
        outbox.put(event)
    assert contents(outbox) == [Realtime("a b"), Acknowledged(2, 0)]


def test_partial_keeps_its_place_after_the_final_before_it() -> None:
    outbox = Outbox(10)
    for event in (Realtime("one"), FullSentence("One."), Realtime("two")):
        outbox.put(event)
    assert contents(outbox) == [FullSentence("One."), Realtime("two")]


def test_finals_push_out_what_may_be_shed() -> None:
    outbox = Outbox(3)
    outbox.put(Realtime("partial"))
    outbox.put(FrameVerdict(0, "ok", 1.0))
    for number in range(3):
        outbox.put(FullSentence(str(number)))
    assert contents(outbox) == [FullSentence("0"), FullSentence("1"), FullSentence("2")]


def test_finals_beyond_the_bound_are_an_overflow() -> None:
    outbox = Outbox(2)
    outbox.put(FullSentence("1"))
    outbox.put(FullSentence("2"))
    with pytest.raises(OutboxOverflowError):
        outbox.put(FullSentence("3"))


def test_good_verdicts_are_shed_when_full_and_bad_ones_are_not() -> None:
    outbox = Outbox(2)
    outbox.put(FullSentence("1"))
    outbox.put(FullSentence("2"))
    outbox.put(FrameVerdict(0, "ok", 1.0))
    assert len(outbox) == 2
    with pytest.raises(OutboxOverflowError):
        outbox.put(FrameVerdict(1, "corrupt", 1.0))


def test_the_latest_ack_waits_though_a_burst_of_verdicts_fills_the_queue() -> None:
    outbox = Outbox(16)
    for sequence in range(16):
        outbox.put(FrameVerdict(sequence, "ok", 1.0))
    outbox.put(Acknowledged(15, 0))
    outbox.put(Acknowledged(16, 0))
    assert contents(outbox)[16:] == [Acknowledged(16, 0)]


def test_the_latest_ack_is_not_pushed_out_and_takes_no_place_of_others() -> None:
    outbox = Outbox(2)
    outbox.put(FrameVerdict(0, "ok", 1.0))
    outbox.put(Acknowledged(1, 0))
    outbox.put(FullSentence("1"))
    outbox.put(FullSentence("2"))
    with pytest.raises(OutboxOverflowError):
        outbox.put(FullSentence("3"))
    assert contents(outbox) == [Acknowledged(1, 0), FullSentence("1"), FullSentence("2")]


async def test_writer_wakes_for_events_and_ends_when_closed_and_empty() -> None:
    outbox = AsyncOutbox(4)
    taken = asyncio.create_task(outbox.take())
    outbox.put(FullSentence("1"))
    assert await taken == FullSentence("1")
    outbox.put(FullSentence("2"))
    outbox.close()
    assert await outbox.take() == FullSentence("2")
    assert await outbox.take() is None


async def test_overflow_ends_the_writer_with_a_reason() -> None:
    outbox = AsyncOutbox(1)
    outbox.put(FullSentence("1"))
    outbox.put(FullSentence("2"))
    assert await outbox.take() is None
    assert "1 results wait" in outbox.overflow
