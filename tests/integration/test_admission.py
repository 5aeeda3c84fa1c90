"""Newcomers are refused while finals wait too long for the engine, or live speech is heard late.

Those who are here lose nothing.

Systems that are slow on purpose: an engine process that takes 1 s a call and 0.5 s for each of its
requests; recorders that take twice as long as was spoken.
"""

from __future__ import annotations

import asyncio

import pytest

from common.client.errors import ServerBusyError
from common.client.stream import connect
from common.events import FullSentence, Report
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


async def speak_live(url: str, enough: asyncio.Event) -> Report | None:
    """Silence as fast as it would be heard, until there was enough; what became of it."""
    async with connect(url) as stream:
        while not enough.is_set():
            await stream.send(silence(0.1))
            await asyncio.sleep(0.1)
        return await stream.finish(idle_timeout_s=60)


async def test_newcomers_are_refused_while_live_speech_is_heard_late() -> None:
    """About ten seconds, most of which all wait."""
    with Stages() as stages:
        ports = [free_port(), free_port()]
        listen = ("--data_port", str(ports[0]), "--control_port", str(ports[1]))
        stages.start("gateway", *listen, "--max-lag", "0.6", "--max-speed", "0")
        stages.start("verifier")
        stages.start("tests.integration.slow_transcriber", "--engine", "null")
        for process in stages.processes:
            process.wait_for_line("is ready")
        url = f"ws://127.0.0.1:{ports[0]}"

        async with asyncio.timeout(120):
            enough = asyncio.Event()
            talking = asyncio.create_task(speak_live(url, enough))
            reason = await refusal(url)
            enough.set()
            assert "the recorders are behind: speech would be heard" in reason
            report = await talking
            assert report is not None
            assert report.frames == report.unverified > 0
            assert report.retransmissions == 0
            while True:
                try:
                    async with connect(url):
                        break
                except ServerBusyError:
                    await asyncio.sleep(0.2)
