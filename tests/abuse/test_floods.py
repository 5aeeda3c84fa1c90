"""Nobody stalls or starves another: floods of audio, of tiny frames, of commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from common.events import RetentionLimited
from common.wire import Metadata, build_message
from tests.abuse.conftest import MAX_RECORDING_S, OBSERVERS
from tests.abuse.scene import Scene, closing
from tests.faults.clips import RATE_HZ, sentences
from tests.faults.crowd import until
from tests.faults.test_overload import frames_of


def endless_speech() -> Iterator[bytes]:
    """One recording that never ends, so that nothing of it is committed."""
    while True:
        for sentence in sentences():
            yield from frames_of(sentence)


def crumbs() -> Iterator[bytes]:
    """Frames of one sample, at rates that alternate."""
    frames = [
        build_message(Metadata(sample_rate=rate_hz, data_length=1), b"\1\0")
        for rate_hz in (RATE_HZ, 48_000)
    ]
    while True:
        yield from frames


class Flood:
    """A connection on which messages are poured, and what came back."""

    def __init__(self, connection: ClientConnection, messages: Iterable[bytes | str]) -> None:
        self.connection = connection
        self.types: set[str] = set()
        self.sentences: list[str] = []
        self._messages = messages

    async def pour(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in self._messages:
                await self.connection.send(message)

    async def listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in self.connection:
                event = json.loads(message)
                self.types.add(event["type"])
                if event["type"] == "fullSentence":
                    self.sentences.append(event["text"])


@asynccontextmanager
async def flooded(
    scene: Scene, count: int, *messages: Iterable[bytes | str]
) -> AsyncIterator[list[Flood]]:
    """A block in which ``count`` connections pour, each its own messages."""
    async with contextlib.AsyncExitStack() as stack:
        floods = [
            Flood(
                await stack.enter_async_context(scene.data("?events=integrity")),
                messages[number % len(messages)],
            )
            for number in range(count)
        ]
        tasks = [asyncio.create_task(job) for f in floods for job in (f.pour(), f.listen())]
        try:
            yield floods
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for flood in floods:
                flood.connection.transport.abort()


async def test_who_keeps_more_than_its_share_gives_up_its_own(scene: Scene) -> None:
    """Beside floods over the total bound the good clients stay protected against a crash."""
    given_up = scene.count("retention_given_up_frames")
    async with flooded(scene, 3, *(endless_speech() for _ in range(4))) as floods:
        await scene.until_count("retention_given_up_frames", lambda count: count > given_up)
        async with scene.beside("floods of uncommitted audio over the total bound") as good:
            pass
        assert not [e for client in good for e in client.events if isinstance(e, RetentionLimited)]
        await until(lambda: any("retention" in f.types for f in floods), "the abuser is told", 60)


async def test_recordings_at_full_speed_are_held_back_while_others_speak(scene: Scene) -> None:
    mark, before = scene.mark, scene.count("limits_met:speed")
    async with flooded(scene, 2, *(endless_speech() for _ in range(2))) as floods:
        async with scene.beside("recordings at full speed"):
            await scene.until_count("limits_met:speed", lambda count: count > before)
        await until(lambda: any("held_back" in f.types for f in floods), "they are told", 60)
        assert scene.lines_with("is held back", mark)
        await until(lambda: all(f.sentences for f in floods), "they are heard in parts", 60)
    longest_s = max(int(text.split()[0]) for f in floods for text in f.sentences) / RATE_HZ
    assert longest_s <= 1.25 * MAX_RECORDING_S + 1, "no engine call is longer than that"


async def test_crumbs_at_full_speed_stall_nobody(scene: Scene) -> None:
    before = scene.count("limits_met:speed")
    async with flooded(scene, 2, crumbs(), crumbs()):
        await scene.until_count("frames", lambda count: count > 1_000)
        async with scene.beside("frames of one sample, rates that alternate"):
            await scene.until_count("limits_met:speed", lambda count: count > before)


async def test_long_texts_are_not_parsed(scene: Scene) -> None:
    """Or each would end its stream, after which there is no more to refuse."""
    text = '{"type": "end", "frames": -1, "more": [' + "1," * 130_000 + "1]}"

    def texts() -> Iterator[str]:
        while True:
            yield text

    async with flooded(scene, 2, texts(), texts()), scene.beside("260 KB of JSON text") as _:
        await scene.until_count("frames_refused:text", lambda count: count > 3)


async def test_commands_that_are_no_unicode_get_a_reply(scene: Scene) -> None:
    mark = scene.mark
    async with scene.control() as control:
        for _ in range(200):
            await control.send('{"command":"\\ud800"}')
        for _ in range(200):
            assert json.loads(await control.recv())["status"] == "error"
    assert not scene.lines_with("Traceback", mark)
    assert len(scene.system.gateway.process.lines) - mark < 20


async def test_observers_of_one_session_have_a_bound(scene: Scene) -> None:
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(scene.data("?events=integrity"))
        session = json.loads(await client.recv())["session"]
        for _ in range(OBSERVERS):
            await stack.enter_async_context(scene.data(f"?observe={session}"))
        await asyncio.sleep(0)
        late = await stack.enter_async_context(scene.data(f"?observe={session}"))
        code, reason = await closing(late)
        assert code == 1013
        assert "observers" in reason
