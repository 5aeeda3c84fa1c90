"""Newcomers are refused while finals wait too long for the engine; those who are here lose nothing.

One system whose engine process is slow on purpose: 1 s a call and 0.5 s for each of its requests.
"""

from __future__ import annotations

import asyncio

import pytest

from common.client.errors import ServerBusyError
from common.client.stream import connect
from common.events import FullSentence
from tests.bench.modelled_engine import MODEL_VARIABLE, STAGE_VARIABLE
from tests.processes import Stages, free_port
from tests.speech import load, silence

pytestmark = pytest.mark.slow

SPOKEN = ("mountains", "numbers", "bridge")
SLOW = {STAGE_VARIABLE: "engine", MODEL_VARIABLE: "1.0+0.5"}


async def say(url: str, names: tuple[str, ...]) -> list[str]:
    """The texts of sentences that are sent as fast as they are taken."""
    async with connect(url) as stream:
        await stream.send(silence(0.5))
        for name in names:
            await stream.send(load(name) + silence(1.5))
        await stream.finish()
        return [event.text async for event in stream if isinstance(event, FullSentence)]


async def refusal(url: str) -> str:
    """The reason with which a newcomer is at last refused."""
    while True:
        try:
            async with connect(url):
                pass
        except ServerBusyError as error:
            return str(error)
        await asyncio.sleep(0.2)


async def test_newcomers_are_refused_with_the_reason_and_come_in_once_the_engine_keeps_up() -> None:
    with Stages() as stages:
        ports = [free_port(), free_port()]
        listen = ("--data_port", str(ports[0]), "--control_port", str(ports[1]))
        stages.start("gateway", *listen, "--max-final-wait", "0.5", "--max-speed", "0")
        stages.start("verifier")
        stages.start("tests.bench.modelled_engine", env=SLOW)
        stages.start("transcriber", "--engines-at", "run-dir")
        for process in stages.processes:
            process.wait_for_line("is ready")
        url = f"ws://127.0.0.1:{ports[0]}"

        async with asyncio.timeout(120):
            assert len(await say(url, SPOKEN[:1])) == 1, "an idle system takes everybody"
            talking = [asyncio.create_task(say(url, SPOKEN)) for _ in range(5)]
            reason = await refusal(url)
            assert "the engines are busy: a sentence would wait" in reason
            for texts in await asyncio.gather(*talking):
                assert len(texts) == len(SPOKEN)
            while True:
                try:
                    assert len(await say(url, SPOKEN[:1])) == 1
                    break
                except ServerBusyError:
                    await asyncio.sleep(0.2)
