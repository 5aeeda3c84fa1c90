"""Eight clients stream different speech through a storm of kills and pauses.

The schedule is seeded; what it meets is not, since processes take the time they take.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest

from tests.faults.clips import speech
from tests.faults.crowd import Talker, talk_all
from tests.faults.storm import ROUGH, Kind, check, through_storm
from tests.faults.system import Stage, System, Usage

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CLIENTS: Final = 8
GROWTH: Final = 24 << 20
"""Bytes that a gateway may grow by while its clients' audio is retained and let go of again."""


def crowd(sentences: int) -> list[Talker]:
    return [Talker(speech(number, sentences)) for number in range(CLIENTS)]


@pytest.fixture
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    engine, transcribers = request.param
    options = ["--verify-data-integrity"]
    with System(engine=engine, transcribers=transcribers, gateway=options) as system:
        system.wait_ready()
        yield system


@pytest.mark.parametrize(
    "system, seed, count, pace",
    [(("pocketsphinx", 2), 1, 2, 1.0), (("null", 1), 2, 4, 1.0)],
    indirect=["system"],
    ids=["two transcribers and words", "one transcriber and lengths"],
)
async def test_a_storm_changes_nothing_that_clients_or_recorders_hear(
    system: System, seed: int, count: int, pace: float
) -> None:
    quiet = crowd(count)
    await talk_all(system.url, quiet)
    expected = [talker.sentences for talker in quiet]
    for talker, sentences in zip(quiet, expected, strict=True):
        assert len(sentences) == count
        check(talker, system.tap_dir, sentences)
    before = usage(system)

    talkers = crowd(count)
    strikes = await through_storm(system, talkers, random.Random(seed), ROUGH, pace)
    for talker, sentences in zip(talkers, expected, strict=True):
        check(talker, system.tap_dir, sentences)
    struck = {(strike.stage, strike.kind) for strike in strikes}
    assert {(Stage.VERIFIER, Kind.KILL), (Stage.TRANSCRIBER, Kind.KILL)} <= struck

    system.wait_ready()
    after = usage(system)
    assert after.rss_bytes - before.rss_bytes < GROWTH
    assert after.files <= before.files
    assert system.metrics()["sessions"] == 0
    system.stop()


def usage(system: System) -> Usage:
    found = system.gateway.usage()
    assert found is not None
    return found
