"""More than can be carried: everyone is served in turn, memory is bounded, reasons are given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.client import ServerBusyError
from common.client.stream import Stream
from common.client.stream import connect as connect_stream
from common.events import RetentionLimited
from common.integrity import additive_checksum
from common.wire import Metadata, build_message
from tests.faults.clips import RATE_HZ, sentences, speech
from tests.faults.conftest import StartSystem
from tests.faults.crowd import CHUNK_BYTES, Talker, until
from tests.faults.quiet import quiet_sentences
from tests.faults.storm import check
from tests.faults.system import Member, System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

MEBIBYTE: Final = 1 << 20
WINDOW_FRAMES: Final = 16
RETAIN_BYTES: Final = 100_000


@pytest.fixture(scope="module")
def shared(start_shared_system: StartSystem) -> System:
    return start_shared_system(
        verifiers=1,
        gateway=[
            *("--max-sessions", "5", "--window-frames", str(WINDOW_FRAMES)),
            *("--results-queue", "16", "--retain-session-bytes", str(RETAIN_BYTES)),
        ],
    )


@pytest.fixture
def system(shared: System) -> Iterator[System]:
    """A gateway with narrow bounds, a verifier and a transcriber."""
    shared.repair()
    yield shared
    shared.check_alive()


def rss(member: Member) -> int:
    usage = member.usage()
    assert usage is not None
    return usage.rss_bytes


async def closing(connection: ClientConnection) -> tuple[int | None, str]:
    """Read until the connection is closed: code and reason."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()
    return connection.close_code, connection.close_reason or ""


async def test_a_session_too_many_is_told_to_try_later_and_why(system: System) -> None:
    busy = system.metrics()["busy_rejections:sessions"]
    async with contextlib.AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(connect_stream(system.url, reconnect_s=0))
            for _ in range(5)
        ]
        with pytest.raises(ServerBusyError, match="limit of 5 sessions"):
            await connect_stream(system.url, reconnect_s=0).open()
        async with connect(system.url) as stock_client:
            code, reason = await closing(stock_client)
        assert code == 1013
        assert "limit of 5 sessions" in reason
        assert system.metrics()["busy_rejections:sessions"] == busy + 2

        await streams[0].close()
        await until(lambda: system.metrics()["sessions"] == 4, "one has left")
        await stack.enter_async_context(connect_stream(system.url, reconnect_s=0))


async def test_floods_starve_nobody_and_cost_bounded_memory(system: System) -> None:
    polite = Talker(speech(0))
    expected = await quiet_sentences(system, polite.pcm)
    before = rss(system.gateway)
    noise = np.random.default_rng(0).integers(-3, 4, 60 * RATE_HZ, dtype=np.int16).tobytes()
    flood = Talker(noise)

    async def pour(stream: Stream) -> None:
        while True:
            await stream.send(flood.pcm)

    async with contextlib.AsyncExitStack() as stack:
        floods = []
        for _ in range(2):
            stream = connect_stream(system.url, chunk_samples=16_384)
            await stack.enter_async_context(stream)
            floods.append(asyncio.create_task(pour(stream)))
        await until(lambda: system.metrics()["window_stalls"] > 2, "the floods are at their bound")
        await polite.talk(system.url)
        assert not any(task.done() for task in floods)
        grown = rss(system.gateway) - before
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
    check(polite, system.tap_dir, expected)
    assert grown < 48 * MEBIBYTE


async def test_without_verifiers_clients_wait_and_memory_does_not_grow(system: System) -> None:
    talkers = [Talker(speech(number, 3)) for number in range(4)]
    expected = [await quiet_sentences(system, talker.pcm) for talker in talkers]
    (verifier,) = system.verifiers
    verifier.kill()
    before, frames = rss(system.gateway), system.metrics()["frames"]
    async with asyncio.TaskGroup() as group:
        for talker in talkers:
            group.create_task(talker.talk(system.url))
        most = frames + len(talkers) * WINDOW_FRAMES
        await until(lambda: system.metrics()["frames"] == most, "all windows are full")
        assert rss(system.gateway) - before < 16 * MEBIBYTE
        verifier.start_again()
    for talker, texts in zip(talkers, expected, strict=True):
        check(talker, system.tap_dir, texts)


async def test_without_a_transcriber_clients_wait_and_lose_nothing(system: System) -> None:
    talkers = [Talker(speech(number, 3)) for number in range(4)]
    expected = [await quiet_sentences(system, talker.pcm) for talker in talkers]
    (transcriber,) = system.transcribers
    transcriber.kill()
    frames = system.metrics()["frames"]
    async with asyncio.TaskGroup() as group:
        for talker in talkers:
            group.create_task(talker.talk(system.url))
        most = frames + len(talkers) * WINDOW_FRAMES
        await until(lambda: system.metrics()["frames"] == most, "all windows are full")
        transcriber.start_again()
    for talker, texts in zip(talkers, expected, strict=True):
        check(talker, system.tap_dir, texts)


@contextlib.asynccontextmanager
async def deaf_client(system: System) -> AsyncIterator[ClientConnection]:
    """A connection that reads nothing unless told to, with as small a buffer as there is."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", system.data_port))
    line.setblocking(False)
    client = await connect(
        system.url, sock=line, compression=None, max_queue=1, ping_interval=None, close_timeout=0.1
    )
    try:
        yield client
    finally:
        client.transport.abort()


def frames_of(pcm: bytes) -> Iterator[bytes]:
    for start in range(0, len(pcm), CHUNK_BYTES):
        samples = pcm[start : start + CHUNK_BYTES]
        checksum = additive_checksum(samples)
        yield build_message(
            Metadata(sample_rate=RATE_HZ, data_length=len(samples) // 2, checksum=checksum), samples
        )


async def test_a_client_that_never_reads_is_cut_off_and_nobody_waits(system: System) -> None:
    polite = Talker(speech(1))
    expected = await quiet_sentences(system, polite.pcm)
    slow, mark = system.metrics()["slow_clients"], len(system.gateway.process.lines)
    # Each sentence comes with its audio, so that not many fill what is between the two.
    messages = list(frames_of(speech(2, 4)))
    async with deaf_client(system) as deaf:

        async def pour() -> None:
            while True:
                for message in messages:
                    await deaf.send(message)

        pouring = asyncio.create_task(pour())
        await until(
            lambda: pouring.done() or system.metrics()["slow_clients"] > slow, "it is found out"
        )
        assert not pouring.done()
        await polite.talk(system.url)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(pouring, 60)
    check(polite, system.tap_dir, expected)
    system.gateway.process.wait_for_line("does not read", after=mark)
    await until(lambda: system.metrics()["sessions"] == 0, "its session is gone")


async def test_a_client_that_reads_too_late_is_told_why_it_was_closed(system: System) -> None:
    slow = system.metrics()["slow_clients"]
    messages = list(frames_of(speech(2, 4)))
    async with deaf_client(system) as deaf:

        async def pour() -> None:
            while True:
                for message in messages:
                    await deaf.send(message)

        pouring = asyncio.create_task(pour())
        await until(
            lambda: pouring.done() or system.metrics()["slow_clients"] > slow, "it is found out"
        )
        assert not pouring.done()
        code, reason = await closing(deaf)
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
    assert code == 1008
    assert "does not read" in reason


async def test_audio_past_the_retention_bound_is_given_up_aloud(system: System) -> None:
    """Speech without a pause is one recording: nothing of it is committed until it ends."""
    limits: list[RetentionLimited] = []
    given_up = system.metrics()["retention_given_up_frames"]
    mark = len(system.gateway.process.lines)
    talker = Talker(b"".join(sentences()[:4]))
    assert len(talker.pcm) > 2 * RETAIN_BYTES
    async with talker.connect(system.url) as stream:
        await talker.say()
        await until(lambda: talker.all_received, "all is with the recorder")
        limits = [e for e in talker.events if isinstance(e, RetentionLimited)]
        assert [limit.scope for limit in limits] == ["session"]
        assert limits[0].retained_bytes <= RETAIN_BYTES
        assert system.metrics()["retention_given_up_frames"] > given_up
        line = system.gateway.process.wait_for_line(r"retention limit.*", after=mark)
        assert "a crash of its transcriber now would lose" in line[0]

        # The crash comes: what was given up is lost, the rest is not, and the stream goes on.
        system.transcribers[0].replace()
        await talker.finish()
    assert stream.lost_frames == 0
    assert talker.report is not None
    assert talker.report.frames == talker.sent
    assert talker.report.replays == 1
    assert len(talker.sentences) == 1
