"""How one transcriber process behaves with more live streams than it can carry.

Frames sent twice, events, sentences, delays; and what newcomers are told meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, NamedTuple

import numpy as np

from common.client.errors import ServerBusyError
from common.client.stream import connect
from tests.bench.live import ROOM, TRANSCRIBER, Heard, speak_all
from tests.bench.report import Result
from tests.bench.system import Pipeline, pipeline

KNOCK_S: Final = 1.0
"""Between two newcomers, who say nothing and leave."""
LATE_S: Final = 1.0
"""Past it (``--max-lag``) newcomers should be refused."""


class Newcomers(NamedTuple):
    """How many came, and how many were told to try later."""

    came: int
    refused: int


def run(*, quick: bool) -> list[Result]:
    """One transcriber process with more and more live streams."""
    result = Result(
        "load",
        "Live streams of one transcriber process, null engine: what happens past its edge",
        [
            *("streams", "frames", "sent twice %", "stops", "sentences", "refused"),
            *("newcomers refused", "p50 s", "p95 s"),
        ],
    )
    sentences = 2 if quick else 4
    for count in (16,) if quick else (64, 96, 128, 160):
        with pipeline(*ROOM, transcriber="transcriber", transcriber_options=TRANSCRIBER) as running:
            heard, newcomers = asyncio.run(_crowd(running, count, sentences))
        delays = [delay for one in heard for delay in one.delays_s] or [float("nan")]
        frames, resent = sum(one.frames for one in heard), sum(one.resent for one in heard)
        served = [one for one in heard if not one.refused]
        p50_s, p95_s = (float(np.percentile(delays, part)) for part in (50, 95))
        result.add(
            count,
            frames,
            100 * resent / max(1, frames),
            f"{sum(one.stops for one in served)}/{len(served) * sentences}",
            f"{sum(one.sentences for one in served)}/{len(served) * sentences}",
            len(heard) - len(served),
            f"{newcomers.refused}/{newcomers.came}",
            p50_s,
            p95_s,
        )
        share = resent / max(1, frames)
        result.goal(f"frames sent twice at {count}", share, share < 0.01)
        whole = all(one.stops >= one.sentences == sentences for one in served)
        result.goal(f"every sentence after its recording_stop at {count}", float(whole), whole)
        told = newcomers.refused / max(1, newcomers.came)
        result.goal(
            f"share of newcomers refused at {count} (some, if p95 is over {LATE_S:g} s)",
            told,
            newcomers.refused > 0 or not p95_s > LATE_S,
        )
    result.notes.append(
        f"newcomers come every {KNOCK_S:g} s while the others speak; p50, p95: from the end of a "
        "recording to its text"
    )
    return [result]


async def _crowd(running: Pipeline, count: int, sentences: int) -> tuple[list[Heard], Newcomers]:
    pids = [pid for members in running.pids().values() for pid in members]
    told: list[bool] = []
    knocking = asyncio.create_task(_knock(running.url, told))
    _, heard = await speak_all(running.url, pids, count, sentences)
    knocking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await knocking
    return heard, Newcomers(len(told), sum(told))


async def _knock(url: str, told: list[bool]) -> None:
    """Newcomers, one after the other; whether each was told to try later."""
    while True:
        await asyncio.sleep(KNOCK_S)
        try:
            async with connect(url):
                told.append(False)
        except ServerBusyError:
            told.append(True)
