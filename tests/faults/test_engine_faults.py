"""Engine processes that transcribers share are killed and stopped; no sentence is lost or doubled.

One system for all of it: a gateway, a verifier, two transcribers, two engines. Their accelerator is
a modelled one, which takes 0.5 s a call and no core: an engine is hit in the middle of its work
however busy the machine is, and each text is how much audio it is of.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from common.client.stream import connect
from common.events import FullSentence
from tests.bench.modelled_engine import MODEL_VARIABLE, STAGE_VARIABLE
from tests.processes import StageProcess, Stages, free_port, wait_until
from tests.speech import load, silence

SPOKEN = ("city", "experiment", "dog")
"""No two are equally long."""
MODELLED = {STAGE_VARIABLE: "engine", MODEL_VARIABLE: "0.5+0.02"}


class System(NamedTuple):
    """What runs."""

    stages: Stages
    url: str
    transcribers: list[StageProcess]
    engines: list[StageProcess]
    undisturbed: list[int]
    """What a session hears while nothing happens."""

    def start_engine(self) -> StageProcess:
        engine = self.stages.start(
            "tests.bench.modelled_engine", "--metrics-port", "0", env=MODELLED
        )
        self.engines.append(engine)
        return engine


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with Stages() as stages:
        ports = [free_port(), free_port()]
        stages.start("gateway", "--data_port", str(ports[0]), "--control_port", str(ports[1]))
        stages.start("verifier")
        system = System(stages, f"ws://127.0.0.1:{ports[0]}", [], [], [])
        for _ in range(2):
            system.transcribers.append(
                stages.start(
                    "transcriber",
                    *("--engines-at", "run-dir", "--metrics-port", "0"),
                    "--no-enable_realtime_transcription",
                )
            )
        for transcriber in system.transcribers:
            transcriber.wait_for_line("waiting for an engine process")
        for _ in range(2):
            system.start_engine()
        for process in stages.processes:
            process.wait_for_line("is ready")
        for transcriber in system.transcribers:
            await_engines(transcriber, 2)
        system.undisturbed.extend(asyncio.run(say(system.url)))
        assert len(set(system.undisturbed)) == len(SPOKEN)
        yield system


def await_engines(transcriber: StageProcess, count: int) -> None:
    wait_until(
        lambda: transcriber.output.count("serves this transcriber") >= count, "engines are found"
    )


async def say(url: str) -> list[int]:
    """The lengths, in samples, of three sentences, spoken as fast as they are taken."""
    async with asyncio.timeout(120), connect(url) as stream:
        await stream.send(silence(0.5))
        for name in SPOKEN:
            await stream.send(load(name) + silence(1.5))
        await stream.finish()
        sentences = [event async for event in stream if isinstance(event, FullSentence)]
        return [int(event.text.split()[0]) for event in sentences]


def metric(process: StageProcess, name: str) -> float:
    port = process.wait_for_line(r"metrics at http://127.0.0.1:(\d+)")[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def test_engines_share_the_sentences_of_all_transcribers(system: System) -> None:
    for lengths in await asyncio.gather(*(say(system.url) for _ in range(3))):
        assert lengths == system.undisturbed
    finals = [metric(e, 'stt_engine_batch_size_count{kind="final"}') for e in system.engines]
    assert all(finals)


async def test_an_engine_that_is_killed_loses_no_sentence(system: System) -> None:
    engine = system.engines[0]
    before = metric(engine, "stt_engine_requests_total")
    talking = [asyncio.create_task(say(system.url)) for _ in range(3)]
    await asyncio.to_thread(
        wait_until,
        lambda: metric(engine, "stt_engine_requests_total") > before,
        "it was asked for a text",
    )
    engine.kill()
    system.engines.remove(engine)
    for lengths in await asyncio.gather(*talking):
        assert lengths == system.undisturbed
    lost = [
        metric(t, 'stt_transcriber_engines_lost_total{how="silent"}') for t in system.transcribers
    ]
    assert sum(lost) >= 1
    newcomer = system.start_engine()
    newcomer.wait_for_line("is ready")
    for transcriber in system.transcribers:
        await_engines(transcriber, 3)


async def test_an_engine_that_is_stopped_is_given_up_and_its_late_answers_double_nothing(
    system: System,
) -> None:
    engine = system.engines[0]
    before = metric(engine, "stt_engine_requests_total")
    talking = [asyncio.create_task(say(system.url)) for _ in range(3)]
    await asyncio.to_thread(
        wait_until,
        lambda: metric(engine, "stt_engine_requests_total") > before,
        "it was asked for a text",
    )
    engine.pause()
    for lengths in await asyncio.gather(*talking):
        assert lengths == system.undisturbed
    engine.resume()
    assert await say(system.url) == system.undisturbed
