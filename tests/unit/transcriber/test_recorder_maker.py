"""Recorders come and go within bounds, whatever clients do."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from transcriber.recorder_maker import LEAST_SPARE, NoRecorderError, RecorderMaker


class SlowToClose:
    """Closes when it may."""

    def __init__(self, may_close: threading.Event) -> None:
        self._may_close = may_close

    def close(self) -> None:
        assert self._may_close.wait(30)


class Counts:
    """What a maker told."""

    def __init__(self) -> None:
        self.failed = 0
        self.closing: list[int] = []

    def fail(self) -> None:
        self.failed += 1

    def maker(self, capacity: int = 8) -> RecorderMaker[SlowToClose]:
        return RecorderMaker(capacity, self.fail, self.closing.append)


def fails(error: Exception) -> Callable[[], SlowToClose]:
    def build() -> SlowToClose:
        raise error

    return build


async def test_while_many_are_on_their_way_out_nobody_comes_in() -> None:
    counts, may_close = Counts(), threading.Event()
    maker = counts.maker(capacity=8)
    for _ in range(LEAST_SPARE):
        assert not maker.obstacle()
        maker.close(SlowToClose(may_close))
    assert maker.obstacle() == f"full: {LEAST_SPARE} recorders are being closed"
    may_close.set()
    async with asyncio.timeout(10):
        while maker.obstacle():  # noqa: ASYNC110 - the maker has no event for this
            await asyncio.sleep(0.01)
    maker.shut_down()
    assert max(counts.closing) == LEAST_SPARE


async def test_what_is_not_wanted_any_more_is_not_made() -> None:
    maker = Counts().maker()
    assert await maker.make(fails(AssertionError("it was made")), lambda: False) is None
    maker.shut_down()


async def test_where_one_cannot_be_made_the_next_is_not_tried_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Newcomers are told why, and the log is told once, without a traceback."""
    counts = Counts()
    maker = counts.maker()
    with caplog.at_level(logging.ERROR):
        for _ in range(20):
            with pytest.raises(NoRecorderError, match="no recorder: can't start new thread"):
                await maker.make(fails(RuntimeError("can't start new thread")), lambda: True)
    assert maker.obstacle() == "no recorder: can't start new thread"
    assert counts.failed == 20
    assert len(caplog.records) == 1
    assert not caplog.records[0].exc_info
    maker.shut_down()


async def test_an_error_without_words_is_named_by_its_type() -> None:
    maker = Counts().maker()
    with pytest.raises(NoRecorderError, match="no recorder: MemoryError"):
        await maker.make(fails(MemoryError()), lambda: True)
    maker.shut_down()
