"""Transcribers that die, hang, come and go: sessions move, and each sentence arrives once."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from common.client import ControlClient, RejectedError
from tests.faults.clips import RATE_HZ, speech
from tests.faults.conftest import StartSystem
from tests.faults.crowd import CHUNK_BYTES, Talker, until
from tests.faults.quiet import quiet_sentences
from tests.faults.storm import check
from tests.faults.system import Member, System
from tests.processes import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

PEER_TIMEOUT_S = 6.0
"""How long the gateway waits for a silent transcriber; a busy machine may keep one silent."""
MID_SENTENCE = 2 * RATE_HZ
"""Bytes: one second; every sentence lasts longer."""


@pytest.fixture(scope="module")
def shared(start_shared_system: StartSystem) -> System:
    options = ["--reject-corrupted-data", "--corruption-threshold", "1"]
    options += ["--peer-timeout", str(PEER_TIMEOUT_S)]
    return start_shared_system(transcribers=2, gateway=options)


@pytest.fixture
def system(shared: System) -> System:
    """Two transcribers and three verifiers, all of them up."""
    shared.repair()
    wait_until(lambda: not any(sessions_of(shared, m) for m in shared.transcribers), "all are idle")
    return shared


def sessions_of(system: System, member: Member) -> float:
    return system.metrics(member).get("sessions", 0)


async def host_of(system: System, talker: Talker) -> Member:
    """The transcriber that has the only session there is."""
    await until(lambda: talker.moves, "the session has a recorder")
    (host,) = [m for m in system.transcribers if sessions_of(system, m)]
    return host


async def begin(talker: Talker) -> None:
    """Speak until a recording has begun and has no end yet."""
    await talker.say(MID_SENTENCE)
    await until(lambda: "recording_start" in talker.notices, "a recording begins")
    await until(lambda: talker.all_received, "all is with the recorder")
    assert "recording_stop" not in talker.notices


async def test_a_sentence_cut_by_a_kill_arrives_once_and_whole(system: System) -> None:
    talker = Talker(speech(0))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await begin(talker)
        (await host_of(system, talker)).replace()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.moves == 2
    assert talker.report is not None
    assert talker.report.replays == 1
    assert talker.notices.count("recording_start") == len(expected)


async def test_with_no_transcriber_left_clients_wait_for_one(system: System) -> None:
    talker = Talker(speech(1))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await begin(talker)
        for member in system.transcribers:
            member.kill()
        await until(lambda: system.metrics()["transcribers"] == 0, "the gateway notices")
        for member in system.transcribers:
            member.start_again()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)


async def test_parameters_hold_through_a_crash(system: System) -> None:
    talker = Talker(speech(2))
    control_url = f"ws://127.0.0.1:{system.control_port}"
    async with (
        talker.connect(system.url),
        ControlClient(control_url, session=talker.session) as control,
    ):
        await talker.say(talker.chunk_bytes)  # a recorder is taken at the first frame
        await until(lambda: talker.moves, "the session has a recorder")
        await control.set_parameter("post_speech_silence_duration", 0.31)
        await begin(talker)
        (await host_of(system, talker)).replace()
        await until(lambda: talker.moves == 2, "the session has another recorder")
        assert await control.get_parameter("post_speech_silence_duration") == 0.31
        await talker.say()
        await talker.finish()
    assert len(talker.sentences) == 2


async def test_sessions_are_spread_and_move_when_their_transcriber_dies(system: System) -> None:
    talkers = [Talker(speech(number)) for number in range(4)]
    expected = [await quiet_sentences(system, talker.pcm) for talker in talkers]
    victim, other = system.transcribers
    for talker in talkers:
        await talker.connect(system.url).open()
        await begin(talker)
    assert [sessions_of(system, member) for member in (victim, other)] == [2, 2]
    victim.replace()
    for talker, sentences in zip(talkers, expected, strict=True):
        await talker.say()
        await talker.finish()
        check(talker, system.tap_dir, sentences)
    assert sorted(talker.moves for talker in talkers) == [1, 1, 2, 2]


async def test_one_more_transcriber_takes_new_sessions_at_once(system: System) -> None:
    old = [Talker(speech(number, 1)) for number in range(2)]
    for talker in old:
        await talker.connect(system.url).open()
        await talker.say(talker.chunk_bytes)
        await until(lambda talker=talker: talker.moves, "it has a recorder")  # type: ignore[misc]
    joined = system.add_transcriber()
    system.wait_ready()
    new = Talker(speech(2, 1))
    async with new.connect(system.url):
        await new.say(new.chunk_bytes)
        await until(lambda: new.moves, "it has a recorder")
        assert sessions_of(system, joined) == 1
        await new.say()
        await new.finish()
    for talker in old:
        await talker.say()
        await talker.finish()
        assert talker.moves == 1
    assert await asyncio.to_thread(joined.terminate) == 0
    system.transcribers.remove(joined)


async def test_sessions_move_from_a_transcriber_that_is_told_to_stop(system: System) -> None:
    talker = Talker(speech(3))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await begin(talker)
        host = await host_of(system, talker)
        assert await asyncio.to_thread(host.terminate) == 0
        host.start_again()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.moves == 2


@pytest.mark.parametrize("others", [1, 0], ids=["another takes over", "nobody takes over"])
async def test_a_transcriber_that_hung_and_was_given_up_confuses_nobody(
    system: System, others: int
) -> None:
    talker = Talker(speech(4, 3))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await begin(talker)
        host = await host_of(system, talker)
        hung = system.transcribers if not others else [host]
        await talker.say(len(talker.pcm) // 2)
        for member in hung:
            member.pause()
        await until(lambda: system.metrics()["transcribers"] == others, "it is given up")
        if others:
            await until(lambda: talker.moves == 2, "the session has moved")
        system.resume_all()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.moves == 2


async def test_a_short_pause_costs_nothing_but_time(system: System) -> None:
    talker = Talker(speech(5))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await begin(talker)
        host = await host_of(system, talker)
        host.pause()
        paused_s = time.monotonic()
        await talker.say(len(talker.pcm) // 2)
        wait_until(lambda: time.monotonic() > paused_s + PEER_TIMEOUT_S / 3, "some time goes by")
        host.resume()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.moves == 1


async def test_corrupt_frames_from_before_a_crash_count_once_and_still(system: System) -> None:
    talker = Talker(speech(6))
    first, second = 10, 40
    heard = bytearray(talker.pcm[: second * CHUNK_BYTES])
    heard[first * CHUNK_BYTES : (first + 1) * CHUNK_BYTES] = bytes(CHUNK_BYTES)
    async with talker.connect(system.url) as stream:
        await talker.say(first * CHUNK_BYTES)
        await talker.say_corrupt()
        await begin(talker)
        (await host_of(system, talker)).replace()
        await until(lambda: talker.moves == 2, "the session has another recorder")
        await talker.say(second * CHUNK_BYTES)
        await until(lambda: talker.all_received, "the replay is heard as well")
        assert not talker.errors, "one corrupt frame is tolerated, though it was sent twice"
        await talker.say_corrupt()
        with pytest.raises(RejectedError):
            await talker.finish()
    assert stream.report is not None
    assert stream.report.corrupt == 2
    tap = system.tap_dir / f"{talker.session}.pcm"
    assert tap.read_bytes() == heard, "nothing after the rejected frame is heard"


async def test_an_engine_worker_that_dies_costs_no_sentence(start_system: StartSystem) -> None:
    system = start_system(engine="pocketsphinx", verifiers=1)
    talker = Talker(speech(0))
    expected = await quiet_sentences(system, talker.pcm)
    async with talker.connect(system.url):
        await begin(talker)
        transcriber = psutil.Process(system.transcribers[0].process.pid)
        processes = transcriber.children(recursive=True)
        assert len(processes) == 3, "two workers, and what they were forked from"
        for process in processes:
            process.kill()
        await talker.say()
        await talker.finish()
    check(talker, system.tap_dir, expected)
    assert talker.moves == 1
