"""Gateways that die and connections that break: clients go on where they were."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.clips import speech
from tests.faults.conftest import StartSystem
from tests.faults.crowd import CHUNK_BYTES, Talker, until
from tests.faults.cut import CuttableProxy
from tests.faults.quiet import quiet_sentences
from tests.faults.storm import check
from tests.faults.system import System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shared(start_shared_system: StartSystem) -> System:
    return start_shared_system(
        gateway=["--verify-data-integrity"],
        # Room for one: a session whose gateway died must not stand in its successor's way.
        transcriber=[
            *("--transcriber-sessions", "1", "--session-grace", "1000"),
            *("--drain-timeout", "500"),
        ],
    )


@pytest.fixture
def system(shared: System) -> System:
    """A transcriber and three verifiers, all of them up."""
    shared.repair()
    return shared


def tapped(system: System, session: str) -> bytes:
    path: Path = system.tap_dir / f"{session}.pcm"
    assert not path.with_suffix(".mismatch").exists()
    return path.read_bytes()


@pytest.mark.parametrize("chunk_samples", [1024, 7919])
async def test_a_client_of_a_gateway_that_dies_goes_on_exactly_where_it_was(
    system: System, chunk_samples: int
) -> None:
    """In the middle of a frame, of whatever size, so that no sentence is lost or comes twice."""
    talker = Talker(speech(0, 2), chunk_samples=chunk_samples)
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url) as stream:
        # Into the second sentence, the first one delivered and committed.
        await talker.say(3 * len(talker.pcm) // 4)
        await until(lambda: len(talker.sentences) == 1, "there is one sentence")
        await until(lambda: talker.all_received, "all so far is with the recorder")
        first_session = talker.session
        assert stream.unacknowledged_bytes > 0
        system.gateway.replace()
        await talker.say()
        await talker.finish()

    assert (stream.reconnections, stream.lost_frames) == (1, 0)
    assert talker.session != first_session
    before, again = tapped(system, first_session), tapped(system, talker.session)
    begin = len(again) - len(again.lstrip(b"\0"))  # the second goes on at the first one's commit
    assert talker.chunk_bytes < begin < len(before)
    assert before == talker.pcm[: len(before)]
    assert again[begin:] == talker.pcm[begin:]
    assert talker.sentences == expected


async def test_a_gateway_that_comes_back_later_is_waited_for(system: System) -> None:
    talker = Talker(speech(1, 1))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url) as stream:
        system.gateway.kill()
        await until(lambda: not stream.connected, "the client notices")
        await talker.say()
        system.gateway.start_again()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert stream.reconnections == 1


@pytest.mark.parametrize("where", [0.3, 0.6, 1.0], ids=["early", "in the middle", "at the end"])
async def test_a_connection_that_breaks_is_taken_up_in_the_same_session(
    system: System, where: float
) -> None:
    talker = Talker(speech(2))
    expected = await quiet_sentences(system, talker.pcm)
    async with CuttableProxy(system.data_port) as proxy, talker.connect(proxy.url) as stream:
        session = talker.session
        await talker.say(round(where * len(talker.pcm)))
        proxy.cut()
        await until(lambda: not stream.connected, "the client notices")
        await talker.say()
        await talker.finish()
    assert talker.session == session
    assert stream.reconnections == 1
    check(talker, system.tap_dir, expected)


async def test_sentences_spoken_while_the_line_is_down_come_afterwards(system: System) -> None:
    talker = Talker(speech(3, 3))
    expected = await quiet_sentences(system, talker.pcm)
    sentences = system.metrics()["sentences"]
    async with CuttableProxy(system.data_port) as proxy, talker.connect(proxy.url) as stream:
        await talker.say(len(talker.pcm) // 2)
        await until(lambda: talker.all_received, "half of it is with the recorder")
        proxy.cut()
        await until(lambda: system.metrics()["sentences"] > sentences, "there is a sentence")
        await until(lambda: stream.connected, "the client is back")
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)


async def test_a_line_that_breaks_again_and_again_loses_and_doubles_nothing(
    system: System,
) -> None:
    talker = Talker(speech(4, 3))
    expected = await quiet_sentences(system, talker.pcm)
    async with CuttableProxy(system.data_port) as proxy, talker.connect(proxy.url) as stream:
        for tenth in range(1, 10):
            await talker.say(tenth * len(talker.pcm) // 10)
            await until(lambda: stream.connected, "the client is back")
            proxy.cut()
            await until(lambda: not stream.connected, "the client notices")
        await talker.say()
        await talker.finish()
    assert stream.reconnections == 9
    check(talker, system.tap_dir, expected)


async def test_a_client_of_a_gateway_that_is_told_to_stop_goes_on_with_the_next(
    system: System,
) -> None:
    """It is sent back at once, with what is not committed still in its own hands."""
    talker = Talker(speech(5, 2))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url) as stream:
        await talker.say(len(talker.pcm) // 2)
        await until(lambda: talker.all_received, "all so far is with the recorder")
        first_session = talker.session
        # The client must be able to answer meanwhile.
        assert await asyncio.to_thread(system.gateway.terminate) == 0
        system.gateway.start_again()
        await talker.say()
        await talker.finish()
    assert (stream.reconnections, stream.lost_frames) == (1, 0)
    before, again = tapped(system, first_session), tapped(system, talker.session)
    begin = len(again) - len(again.lstrip(b"\0"))
    assert begin < len(before), "the second goes on at the first one's commit"
    assert again[begin:] == talker.pcm[begin:]
    assert talker.sentences == expected


async def test_a_line_that_breaks_after_the_end_was_said_still_brings_the_report(
    system: System,
) -> None:
    talker = Talker(speech(6, 2))
    expected = await quiet_sentences(system, talker.pcm)
    (transcriber,) = system.transcribers
    async with CuttableProxy(system.data_port) as proxy, talker.connect(proxy.url) as stream:
        await talker.say(len(talker.pcm) - CHUNK_BYTES)
        await until(lambda: talker.all_received, "all but the last frame is with the recorder")
        transcriber.pause()  # so that the end is not there yet
        await talker.say()
        ending = asyncio.create_task(talker.finish())
        proxy.cut()
        await until(lambda: not stream.connected, "the client notices")
        transcriber.resume()
        await ending
    assert stream.reconnections == 1
    check(talker, system.tap_dir, expected)


async def test_a_transcriber_that_is_told_to_stop_waits_for_no_session_of_a_dead_gateway(
    system: System,
) -> None:
    """It would drain for minutes, and is given less."""
    talker = Talker(speech(7, 2))
    stream = await talker.connect(system.url).open()
    await talker.say(len(talker.pcm) // 4)
    await until(lambda: talker.all_received, "a recorder has it")
    system.gateway.kill()
    await stream.close()
    (transcriber,) = system.transcribers
    assert await asyncio.to_thread(transcriber.terminate) == 0
