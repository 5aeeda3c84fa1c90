"""Memory is given back after a burst, once, and not while more comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.memory import Ebb, MemoryKeeper

MIB = 1 << 20


def test_after_a_burst_memory_is_given_back_once() -> None:
    ebb = Ebb(16 * MIB, 5.0)
    assert not ebb.look(100 * MIB, 0.0)
    assert [ebb.look(MIB, float(now_s)) for now_s in range(1, 20)].index(True) == 5
    assert not any(ebb.look(MIB, float(now_s)) for now_s in range(20, 40))


def test_not_while_much_is_held_still_or_again() -> None:
    ebb = Ebb(16 * MIB, 5.0)
    ebb.look(100 * MIB, 0.0)
    assert not any(ebb.look(60 * MIB, float(now_s)) for now_s in range(1, 20))
    waves = [100 * MIB, MIB, MIB] * 10
    assert not any(ebb.look(held, float(now_s)) for now_s, held in enumerate(waves, 20))


def test_small_bursts_are_not_worth_it() -> None:
    ebb = Ebb(16 * MIB, 5.0)
    ebb.look(15 * MIB, 0.0)
    assert not any(ebb.look(0, float(now_s)) for now_s in range(1, 20))


async def test_the_pages_of_a_burst_are_the_systems_again() -> None:
    """Between what is freed something lives on, as it does where frames come from many."""
    keeper = MemoryKeeper()
    burst = [bytes(8192) for _ in range(20_000)]
    lives_on = burst[::100]
    keeper.look(len(burst) * 8192, 0.0)
    full = _resident_bytes()
    del burst
    for now_s in (1.0, 10.0):
        keeper.look(0, now_s)
    async with asyncio.timeout(30):
        while _resident_bytes() > full - 100 * MIB:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    assert lives_on


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
