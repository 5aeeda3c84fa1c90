"""Verifiers that are killed, paused and late: others do their work, and nothing counts twice."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.clips import speech
from tests.faults.conftest import StartSystem
from tests.faults.crowd import Talker, until
from tests.faults.quiet import quiet_sentences
from tests.faults.storm import check
from tests.faults.system import System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shared(start_shared_system: StartSystem) -> System:
    return start_shared_system(
        gateway=["--reject-corrupted-data", "--corruption-threshold", "1"],
    )


@pytest.fixture
def system(shared: System) -> System:
    """Three verifiers and a transcriber, all of them up."""
    shared.repair()
    return shared


def total(system: System, metric: str) -> float:
    """A counter, summed over all verifiers."""
    return sum(system.metrics(verifier).get(metric, 0) for verifier in system.verifiers)


async def test_what_a_killed_verifier_held_goes_to_the_others(system: System) -> None:
    talker = Talker(speech(0))
    expected = await quiet_sentences(system, talker.pcm)
    victim = system.verifiers[0]
    frames = system.metrics()["frames"]
    async with talker.connect(system.url):
        victim.pause()  # so that frames pile up in it
        await talker.say(len(talker.pcm) // 2)
        await until(
            lambda: system.metrics()["frames"] == frames + talker.sent, "the gateway has all"
        )
        victim.replace()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.report is not None
    assert talker.report.retransmissions > 0


async def test_a_verifier_that_wakes_up_late_repeats_verdicts_in_vain(system: System) -> None:
    talker = Talker(speech(1))
    expected = await quiet_sentences(system, talker.pcm)
    sleeper = system.verifiers[1]
    checked = system.metrics(sleeper)["frames"]
    verdicts = system.metrics()["verdicts:ok"]
    async with talker.connect(system.url):
        sleeper.pause()
        await talker.say(len(talker.pcm) // 2)
        await until(lambda: talker.all_received, "the others have done its work")
        sleeper.resume()
        await until(lambda: system.metrics(sleeper).get("frames", 0) > checked, "it checks frames")
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.report is not None
    assert talker.report.retransmissions > 0
    assert system.metrics()["verdicts:ok"] == verdicts + talker.sent


async def test_a_corrupt_frame_that_was_sent_again_is_one_failure(system: System) -> None:
    talker = Talker(speech(2, 1))
    corrupt_before = total(system, "verdicts:corrupt")
    sent_again = system.metrics()["retransmissions"]
    async with talker.connect(system.url) as stream:
        for verifier in system.verifiers:
            verifier.pause()
        await talker.say_corrupt()
        # Not once but thrice, since what is sent again may also get lost.
        await until(
            lambda: system.metrics()["retransmissions"] >= sent_again + 3, "it is sent again"
        )
        system.resume_all()
        await until(
            lambda: total(system, "verdicts:corrupt") >= corrupt_before + 2, "it is judged twice"
        )
        await talker.say()
        await talker.finish()
    assert not talker.errors
    assert talker.report is not None
    assert (talker.report.corrupt, talker.report.ok) == (1, talker.sent - 1)
    assert stream.verdicts.corrupt == 1


async def test_one_stopped_verifier_of_three_stops_nobody(system: System) -> None:
    talkers = [Talker(speech(number, 1)) for number in range(4)]
    expected = [await quiet_sentences(system, talker.pcm) for talker in talkers]
    system.verifiers[2].pause()
    for talker, sentences in zip(talkers, expected, strict=True):
        await talker.talk(system.url)
        check(talker, system.tap_dir, sentences)
    assert system.verifiers[2].paused


async def test_verifiers_may_all_be_gone_for_a_while(system: System) -> None:
    talker = Talker(speech(3))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await talker.say(len(talker.pcm) // 3)
        for verifier in system.verifiers:
            verifier.kill()
        await talker.say(len(talker.pcm) // 2)
        for verifier in system.verifiers:
            verifier.start_again()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)


async def test_verifiers_join_and_leave_while_frames_flow(system: System) -> None:
    talker = Talker(speech(4))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await talker.say(len(talker.pcm) // 3, pace=4)
        joined = system.add_verifier()
        joined.wait_ready()
        await talker.say(2 * len(talker.pcm) // 3, pace=4)
        assert await asyncio.to_thread(joined.terminate) == 0
        system.verifiers.remove(joined)
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
