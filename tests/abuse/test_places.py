"""Nobody keeps others out: silent sockets, clients that vanish, a server that stops."""

from __future__ import annotations

import asyncio
import contextlib
import json

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.abuse.conftest import MAX_SESSIONS, RECORDERS
from tests.abuse.scene import OTHER, GoodClient, Scene, closing
from tests.faults.clips import sentences, speech
from tests.faults.crowd import until
from tests.faults.test_overload import frames_of

FRAME = next(iter(frames_of(bytes(2048))))


async def opened(connection: ClientConnection) -> None:
    """Wait until the session of an integrity client is there."""
    event = json.loads(await connection.recv())
    assert event["type"] == "session"


async def test_silent_sockets_hold_no_recorder(scene: Scene) -> None:
    """Each says a word, so that it gets a recorder, and then nothing any more."""
    given_back = scene.count("recorders_given_back")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(RECORDERS + 2):
            silent = await stack.enter_async_context(scene.data("?events=integrity"))
            await opened(silent)
            await silent.send(FRAME)
        for _ in range(4):  # and these do not even do that
            await stack.enter_async_context(scene.data())
        async with scene.beside("silent sockets"):
            pass
        await scene.until_count("recorders_given_back", lambda count: count > given_back)


async def test_who_waits_for_a_recorder_is_told_and_so_is_the_operator(scene: Scene) -> None:
    # The line comes once in half a minute, and may have come in another test: a new process.
    assert await asyncio.to_thread(scene.system.gateway.terminate) == 0
    scene.system.gateway.start_again()
    await asyncio.to_thread(scene.system.repair)
    mark = scene.mark
    async with contextlib.AsyncExitStack() as stack:

        async def talk_on(talker: ClientConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await talker.send(FRAME)
                    await asyncio.sleep(0.05)

        async def hear_on(talker: ClientConnection) -> None:
            async for _ in talker:  # who does not read ends slowly
                pass

        talkers: list[asyncio.Task[None]] = []
        for _ in range(RECORDERS):
            talker = await stack.enter_async_context(scene.data("?events=integrity"))
            await opened(talker)
            await talker.send(FRAME)
            while json.loads(await talker.recv()).get("state") != "open":
                pass
            talkers += [asyncio.create_task(job(talker)) for job in (talk_on, hear_on)]
        late = await stack.enter_async_context(scene.data("?events=integrity"))
        await opened(late)
        await late.send(FRAME)
        event = json.loads(await late.recv())
        assert (event["type"], event["state"]) == ("transcriber", "waiting")
        await scene.until_count("waiting_sessions", lambda count: count >= 1)
        await until(lambda: scene.lines_with("wait for a recorder", mark), "the log says so", 60)
        assert "wait for a recorder" in scene.readiness()
        for task in talkers:
            task.cancel()
        await asyncio.gather(*talkers, return_exceptions=True)


async def test_clients_that_vanish_keep_nobody_out(scene: Scene) -> None:
    connections = []
    for _ in range(MAX_SESSIONS):
        connection = await scene.data("?events=integrity")
        await opened(connection)
        connections.append(connection)
    for connection in connections:
        connection.transport.abort()
    await until(lambda: scene.lines_with("lost its connection", 0), "they are gone", 60)
    async with scene.beside("integrity clients that vanish"):
        assert scene.count("limits_met:displaced") >= 1


async def test_a_greedy_address_that_is_silent_gives_way_and_is_told_why(scene: Scene) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(scene.data("?events=integrity"))
        await opened(first)
        for _ in range(MAX_SESSIONS - 1):
            await stack.enter_async_context(scene.data())
        await scene.until_count("sessions", lambda count: count == MAX_SESSIONS)
        async with scene.data("?events=integrity", OTHER) as refused:
            assert (await closing(refused))[0] == 1013  # they have not been silent for long
        ended = asyncio.create_task(closing(first))

        async def knock() -> bool:
            async with scene.data("?events=integrity", OTHER) as newcomer:
                return bool(json.loads(await newcomer.recv())["type"] == "session")

        async with asyncio.timeout(60):
            while not await knock():  # noqa: ASYNC110 - nobody tells who was refused
                await asyncio.sleep(0.2)
        code, reason = await ended
        assert code == 1013
        assert "no audio" in reason


async def test_a_gateway_that_is_stopped_cuts_no_sentence(scene: Scene) -> None:
    """Who can resume is sent back at once; who cannot hears the end of its sentence."""
    half = sentences()[0]
    async with (
        scene.data() as stock,
        scene.beside("SIGTERM of the gateway in mid-sentence") as good,
    ):
        for frame in frames_of(half):
            await stock.send(frame)
        await until(lambda: all(c.said > len(c.pcm) // 3 for c in good), "they speak", 60)
        heard = asyncio.create_task(all_of(stock))
        assert await asyncio.to_thread(scene.system.gateway.terminate) == 0
        scene.system.gateway.start_again()
        events, code = await heard
        assert "fullSentence" in events
        assert code == 1001
    assert len(speech(0)) > len(half)


async def test_what_a_killed_supervisor_leaves_cuts_no_sentence(scene: Scene) -> None:
    """Its stages are told to stop all at once, whatever they are about.

    That they are told is shown by ``test_stages_do_not_outlive_a_supervisor_that_is_killed``.
    """
    await scene.quiet()
    system, good = scene.system, [GoodClient(pcm) for pcm in scene.expected]
    async with contextlib.AsyncExitStack() as stack:
        for client in good:
            await stack.enter_async_context(client.connect(system.url))
            await client.say(len(client.pcm) // 3)
        await until(lambda: all(client.received for client in good), "they are heard", 60)
        ends = [asyncio.to_thread(member.terminate) for member in system.members]
        assert set(await asyncio.gather(*ends)) == {0}
        for member in system.members:
            member.start_again()
        for client in good:
            await client.say()
            await client.finish()
    for client in good:
        assert client.sentences == scene.expected[client.pcm], client.state
        assert not client.errors


async def all_of(connection: ClientConnection) -> tuple[list[str], int | None]:
    """Types of all events until the close, and its code."""
    events = [json.loads(message)["type"] async for message in connection]
    return events, connection.close_code
