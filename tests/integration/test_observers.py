"""Who hears a session besides its client, what its report says, and what the logs keep quiet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from common.client import flip_bit
from common.client.stream import connect
from common.events import STOCK_EVENT_TYPES, Report
from tests.faults.system import System
from tests.integration.wire_client import FRAME_SAMPLES, RATE_HZ, control_of, data_of, session_of
from tests.speech import load, silence

SPEECH = silence(0.3) + load("bread") + silence(1.5)
VERIFY = ("--verify-data-integrity", "--corruption-threshold", "9")
TO_INTEGRITY_CLIENTS = {"verdict", "ack", "transcriber"}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with System(
        verifiers=1, gateway=VERIFY, transcriber=("--enable_realtime_transcription",)
    ) as system:
        system.wait_ready()
        yield system
        system.check_alive()


@pytest.fixture(scope="module")
def broadcasting() -> Iterator[System]:
    with System(verifiers=1, gateway=(*VERIFY, "--broadcast")) as system:
        system.wait_ready()
        yield system
        system.check_alive()


# -- observers -------------------------------------------------------------------------------------


async def test_an_observer_hears_what_the_client_hears_but_not_the_id(system: System) -> None:
    async with (
        session_of(system) as (client, session),
        data_of(system, f"?observe={session}") as plain,
        data_of(system, f"?observe={session}&events=integrity") as curious,
    ):
        await client.say(SPEECH)
        sentence = await client.until("fullSentence")
        assert await plain.until("fullSentence") == sentence
        assert await curious.until("fullSentence") == sentence
        assert {"realtime", "recording_start", "transcription_start"} <= plain.types
        assert plain.types <= STOCK_EVENT_TYPES
        assert "verdict" in curious.types
        assert "session" not in plain.types | curious.types
        await client.end()
        assert await client.until_closed() == 1000
        assert await plain.until_closed() == 1000
        assert await curious.until_closed() == 1000
        assert "report" in curious.types
        assert "report" not in plain.types


async def test_an_observer_of_one_session_hears_no_other(system: System) -> None:
    async with (
        session_of(system) as (quiet, session),
        session_of(system) as (loud, _),
        data_of(system, f"?observe={session}") as observer,
    ):
        await loud.say(SPEECH)
        await loud.until("fullSentence")
        await quiet.end()
        await quiet.until_closed()
        await observer.until_closed()
        assert not {"fullSentence", "realtime", "recording_start"} & observer.types


async def test_an_observers_audio_is_not_taken(system: System) -> None:
    async with (
        session_of(system) as (client, session),
        data_of(system, f"?observe={session}") as observer,
    ):
        await observer.say(SPEECH)
        await client.say(SPEECH)
        await client.end()
        report = await client.until("report")
        assert report["frames"] == -(-len(SPEECH) // (2 * FRAME_SAMPLES))


async def test_the_session_outlives_an_observer(system: System) -> None:
    async with session_of(system) as (client, session):
        async with data_of(system, f"?observe={session}"):
            pass
        await client.say(SPEECH)
        await client.until("fullSentence")


@pytest.mark.parametrize("key", ["0" * 32, "bob", "%00", "0" * 5000])
async def test_who_does_not_know_the_id_observes_nothing(system: System, key: str) -> None:
    async with session_of(system), data_of(system, f"?observe={key}") as observer:
        assert await observer.until_closed() == 1008
        assert [event["error"] for event in observer.events] == ["unknown_session"]


# -- broadcast -------------------------------------------------------------------------------------


async def test_broadcast_sends_results_to_all_and_verdicts_to_none_but_their_client(
    broadcasting: System,
) -> None:
    async with (
        session_of(broadcasting) as (speaker, _),
        session_of(broadcasting) as (listener, _),
        data_of(broadcasting) as stock,
    ):
        broadcasting.gateway.process.wait_for_line(r"connected \(3 sessions\)")
        await speaker.say(SPEECH)
        sentence = await speaker.until("fullSentence")
        assert await listener.until("fullSentence") == sentence
        assert await stock.until("fullSentence") == sentence
        assert {"recording_start", "recording_stop", "transcription_start"} <= stock.types
        assert stock.types <= STOCK_EVENT_TYPES
        assert "verdict" in speaker.types
        assert "verdict" not in listener.types


async def test_without_broadcast_everyone_hears_only_itself(system: System) -> None:
    async with session_of(system) as (speaker, _), data_of(system) as stock:
        await speaker.say(SPEECH)
        await speaker.until("fullSentence")
        await stock.say(silence(0.5))
        await stock.connection.close()
        await stock.until_closed()
        assert stock.types <= {"vad_detect_start"}


# -- report ----------------------------------------------------------------------------------------


async def test_our_client_gets_a_report_of_what_became_of_its_frames(system: System) -> None:
    corrupt = {3, 5}

    async with connect(f"ws://127.0.0.1:{system.data_port}", chunk_samples=FRAME_SAMPLES) as stream:
        step = 2 * FRAME_SAMPLES
        for start in range(0, len(SPEECH), step):
            damage = flip_bit if stream.frames in corrupt else None
            await stream.send(SPEECH[start : start + step], corrupt=damage)
        report = await stream.finish()
        frames = stream.frames
    assert isinstance(report, Report)
    assert report.frames == frames
    assert report.audio_seconds == pytest.approx(len(SPEECH) / 2 / RATE_HZ, abs=0.01)
    assert (report.ok, report.unverified, report.corrupt) == (frames - 2, 0, 2)
    assert (report.lost, report.repeated, report.reordered) == (0, 0, 0)
    assert report.sentences == 1
    assert report.replays == 0
    assert [failure.sequence for failure in report.failures] == [3, 5]
    for failure in report.failures:
        assert failure.expected_length == failure.actual_length == FRAME_SAMPLES
        assert failure.expected_checksum != failure.actual_checksum
    assert 0 < report.verdict_latency_ms["p50"] <= report.verdict_latency_ms["p99"] < 60_000


async def test_the_report_counts_gaps_and_names_what_is_certain(system: System) -> None:
    pcm = bytes(range(256)) * (2 * FRAME_SAMPLES // 256)
    async with session_of(system) as (client, _):
        await client.connection.send(client.frame(pcm))
        await client.connection.send(client.frame(pcm, skip=2))
        truncated = client.frame(pcm)[:-20]
        await client.connection.send(truncated)
        await client.end()
        report = await client.until("report")
        assert (report["frames"], report["lost"]) == (3, 2)
        [failure] = report["failures"]
        assert failure["sequence"] == 2
        assert (failure["expected_length"], failure["actual_length"]) == (
            FRAME_SAMPLES,
            FRAME_SAMPLES - 10,
        )
        assert failure["likely"] == "truncated by 10 samples"
        assert await client.until_closed() == 1000
        assert client.events[-1] == {"type": "end"}


# -- secrets ---------------------------------------------------------------------------------------


async def test_no_session_id_is_in_any_log(system: System) -> None:
    """Through all that names one: start, control, observers, failures, resumption, shutdown."""
    ids = []
    async with session_of(system) as (client, session):
        ids.append(session)
        async with (
            control_of(system, f"?session={session}") as control,
            data_of(system, f"?observe={session}"),
        ):
            await control.set("language", "en")
            await control.set("language", 5)
            await client.say(SPEECH)
            await client.connection.send(flip_bit(client.frame(SPEECH[:2048])))
            await client.until("fullSentence")
            client.connection.transport.abort()
            query = f"?events=integrity&session={session}&resume=1"
            async with data_of(system, query) as again:
                assert (await again.until("session"))["resumed"]
                await control.ask("call_method", method="shutdown")
                assert await again.until_closed() == 1000
    async with data_of(system, f"?events=integrity&session={session}&resume=1") as unknown:
        ids.append((await unknown.until("session"))["session"])
    async with control_of(system, f"?session={session}") as control:
        await asyncio.wait_for(control.set("language", "en"), 10)
    for process in system.processes:
        for key in ids:
            assert key not in process.output.lower()
            assert key[:8] not in process.output.lower()
