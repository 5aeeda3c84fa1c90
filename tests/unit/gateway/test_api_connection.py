"""The shell around a translator: what a slow, a greedy and a faulty end of it come to."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from common.errors import CloseCode
from common.events import FullSentence
from common.settings import GatewaySettings
from gateway.api_connection import ABORT, ApiConnection
from gateway.metrics import GatewayMetrics
from gateway.protocols.base import Action, Close, Heard, Pass, Refused, Say, Utterance
from gateway.quotas import Spent
from tests.faults.crowd import until


class FakeWebSocket:
    """A client that sends what the test says, and reads when the test lets it."""

    client = None

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {"extensions": {ABORT: self.abort}}
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.said: list[Any] = []
        self.closed: tuple[int, str] | None = None

    def abort(self) -> None:
        self.reads.set()

    def sends(self, **message: Any) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", **message})

    async def receive(self) -> dict[str, Any]:
        return await self.inbox.get()

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.said.append(msgspec.json.decode(text))

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.inbox.put_nowait({"type": "websocket.disconnect"})


class Echo:
    """A translator that says what it gets and hears."""

    def open(self, now_s: float) -> list[Action]:
        return [Say({"opened": True})]

    def receive(self, message: str | bytes, now_s: float) -> list[Action]:
        return [Pass(message)] if isinstance(message, bytes) else [Say({"got": message})]

    def too_large(self, size: int, limit: int) -> list[Action]:
        return [Say({"too_large": size})]

    def hear(self, heard: Heard) -> list[Action]:
        if isinstance(heard, Refused):
            return [Say({"refused": heard.code}), Close(1008, heard.message)]
        if isinstance(heard, Utterance) and heard.text == "bug":
            raise RuntimeError("a translator's bug")
        return [Say({"heard": str(heard)})]

    def tick(self, now_s: float) -> list[Action]:
        return []


class FakeStream:
    """A session without a pipeline; a window of ``room`` frames."""

    takes_audio = True

    def __init__(self, room: int = 100, spent: Spent | None = None) -> None:
        self.room = room
        self.frames: list[bytes] = []
        self.has_quota = spent is not None
        self._spent = spent
        self.left = False
        self.session: Any = type("Session", (), {"drained": False})

    @property
    def must_wait(self) -> bool:
        return len(self.frames) >= self.room

    def accept(self, frame: bytes) -> None:
        self.frames.append(frame)

    def spent(self) -> Spent:
        assert self._spent is not None
        return self._spent

    def leave(self, *, may_return: bool) -> None:
        self.left = True


class World:
    """A connection that is being served."""

    def __init__(self, stream: FakeStream | None = None, **settings: Any) -> None:
        self.websocket = FakeWebSocket()
        self.stream = stream or FakeStream()
        fake: Any = self.websocket
        self.connection = ApiConnection(
            fake, Echo(), GatewaySettings(**settings), GatewayMetrics(), None
        )
        reception: Any = type("Reception", (), {"begin": lambda *_, **__: self.stream})()
        self.serving = asyncio.create_task(self.connection.serve(reception))

    async def over(self) -> tuple[int, str] | None:
        async with asyncio.timeout(10):
            await self.serving
        assert self.stream.left
        return self.websocket.closed

    async def until_said(self, count: int) -> None:
        await until(lambda: len(self.websocket.said) >= count, "it is said")


async def test_a_client_that_does_not_read_is_closed_when_too_much_waits() -> None:
    world = World(results_queue=8)
    await world.until_said(1)
    world.websocket.reads.clear()
    for number in range(20):
        world.connection.deliver(FullSentence(str(number), 0, 0, 1))
    world.websocket.reads.set()
    assert await world.over() == (1008, "client does not read its results")


async def test_a_message_over_the_limit_is_not_given_to_the_translator() -> None:
    world = World(max_message_bytes=1_024)
    world.websocket.sends(text="x" * 2_000)
    world.websocket.sends(text="", bytes=None)
    await world.until_said(3)
    assert world.websocket.said == [{"opened": True}, {"too_large": 2_000}, {"got": ""}]
    world.connection.end(CloseCode.GOING_AWAY, "bye")
    assert await world.over() == (1001, "bye")


async def test_a_translators_bug_ends_its_own_connection_and_hurts_nobody_who_delivers() -> None:
    world = World()
    await world.until_said(1)
    world.connection.deliver(FullSentence("bug", 0, 0, 1))
    assert await world.over() == (1011, "internal error")


async def test_a_translator_that_fails_when_it_is_told_the_time_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: Echo, now_s: float) -> list[Action]:
        raise RuntimeError("a translator's bug")

    monkeypatch.setattr("gateway.api_connection.TICK_S", 0.001)
    monkeypatch.setattr(Echo, "tick", fails)
    assert await World().over() == (1011, "internal error")


async def test_while_the_window_is_full_nothing_more_is_read() -> None:
    world = World(FakeStream(room=1))
    for _ in range(3):
        world.websocket.sends(bytes=b"\0\0", text=None)
    await world.until_said(1)
    assert len(world.stream.frames) == 1
    world.stream.frames.clear()
    world.connection.progress()
    await until(lambda: world.stream.frames, "the next is read")
    assert world.websocket.inbox.qsize() == 1
    world.connection.end(CloseCode.GOING_AWAY, "bye")
    await world.over()


@pytest.mark.parametrize("refused", [True, False])
async def test_a_key_that_has_spent_its_quota_is_refused_or_slowed(refused: bool) -> None:
    spent = Spent(pause_s=3600.0, refused="no more today" if refused else "")
    world = World(FakeStream(spent=spent))
    for _ in range(2):
        world.websocket.sends(bytes=b"\0\0", text=None)
    await world.until_said(2 if refused else 1)
    if refused:
        assert await world.over() == (1008, "no more today")
        assert world.websocket.said[-1] == {"refused": "quota"}
    else:
        await until(lambda: world.stream.frames, "the first is read")
        assert world.websocket.inbox.qsize() == 1
        world.connection.end(CloseCode.GOING_AWAY, "bye")
        await world.over()
    assert len(world.stream.frames) == 1
