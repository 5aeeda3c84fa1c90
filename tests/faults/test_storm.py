"""Clients stream different speech through a storm of kills and pauses.

The schedule is seeded; what it meets is not, since processes take the time they take.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Final

import pytest

from tests.faults.clips import speech
from tests.faults.conftest import StartSystem
from tests.faults.crowd import Talker, talk_all
from tests.faults.storm import ROUGH, Kind, check, sessions_of, through_storm
from tests.faults.system import Stage, System, Usage
from tests.processes import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

CLIENTS: Final = 8
WITH_WORDS: Final = 5
"""Where each sentence takes more than half a second of CPU time to be recognised, in quiet too."""
GROWTH: Final = 24 << 20
"""Bytes that a gateway may grow by while its clients' audio is retained and let go of again."""


def crowd(sentences: int, clients: int = CLIENTS) -> list[Talker]:
    return [Talker(speech(number, sentences)) for number in range(clients)]


@pytest.mark.parametrize(
    "engine, transcribers, engines, clients, sentences, seed",
    [("pocketsphinx", 2, 2, WITH_WORDS, 2, 1), ("null", 1, 0, CLIENTS, 4, 2)],
    ids=["two transcribers over two engines, and words", "one transcriber and lengths"],
)
async def test_a_storm_changes_nothing_that_clients_or_recorders_hear(
    start_system: StartSystem,
    engine: str,
    transcribers: int,
    engines: int,
    clients: int,
    sentences: int,
    seed: int,
) -> None:
    options = ["--verify-data-integrity"]
    system = start_system(
        engine=engine, transcribers=transcribers, engines=engines, gateway=options
    )
    quiet = crowd(sentences, clients)
    await talk_all(system.url, quiet)
    expected = [talker.sentences for talker in quiet]
    for talker, texts in zip(quiet, expected, strict=True):
        assert len(texts) == sentences
        check(talker, system.tap_dir, texts)
    before = usage(system)

    talkers = crowd(sentences, clients)
    weather = dataclasses.replace(ROUGH, engine_strikes=2 * engines)
    strikes = await through_storm(system, talkers, random.Random(seed), weather, pace=1.0)
    for talker, texts in zip(talkers, expected, strict=True):
        check(talker, system.tap_dir, texts)
    struck = {(strike.stage, strike.kind) for strike in strikes}
    assert {(Stage.VERIFIER, Kind.KILL), (Stage.TRANSCRIBER, Kind.KILL)} <= struck
    if engines:
        assert {(Stage.ENGINE, Kind.KILL), (Stage.ENGINE, Kind.PAUSE)} <= struck

    system.wait_ready()
    after = usage(system)
    assert after.rss_bytes - before.rss_bytes < GROWTH
    wait_until(lambda: usage(system).files <= before.files, "it has let go of all connections")
    assert system.metrics()["sessions"] == 0
    system.stop()


async def test_a_storm_may_kill_gateways_too(start_system: StartSystem) -> None:
    """Clients go on out of their own buffers: no sentence is lost or comes twice."""
    system = start_system(engine="null", transcribers=1, gateway=["--verify-data-integrity"])
    quiet, talkers = crowd(4, clients=4), crowd(4, clients=4)
    await talk_all(system.url, quiet)
    weather = dataclasses.replace(ROUGH, gateway_kills=3)
    strikes = await through_storm(system, talkers, random.Random(3), weather, pace=1.0)
    for talker, calm in zip(talkers, quiet, strict=True):
        check(talker, system.tap_dir, calm.sentences)
    assert (Stage.GATEWAY, Kind.KILL) in {(strike.stage, strike.kind) for strike in strikes}
    assert any(len(sessions_of(talker)) > 1 for talker in talkers)
    system.wait_ready()
    system.stop()


def usage(system: System) -> Usage:
    found = system.gateway.usage()
    assert found is not None
    return found
