"""What is done again and again goes on after a fault."""

from __future__ import annotations

import asyncio

import pytest

from common.periodic import every


async def times(wanted: int, *, at_once: bool, interval_s: float) -> list[int]:
    """Let an action that fails each time be called so often; its calls."""
    calls: list[int] = []
    enough = asyncio.Event()

    def action() -> None:
        calls.append(len(calls))
        if len(calls) == wanted:
            enough.set()
        raise RuntimeError("a fault")

    task = asyncio.create_task(every(interval_s, action, at_once=at_once))
    async with asyncio.timeout(10):
        await enough.wait()
    task.cancel()
    await asyncio.wait({task})
    return calls


async def test_a_fault_ends_nothing_and_is_logged_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await times(3, at_once=False, interval_s=0.0) == [0, 1, 2]
    assert caplog.messages == ["a periodic task failed"] * 3
    assert all(record.exc_info for record in caplog.records)


async def test_the_first_time_can_be_at_once() -> None:
    assert await times(1, at_once=True, interval_s=3_600) == [0]
