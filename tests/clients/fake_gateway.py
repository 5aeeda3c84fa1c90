"""A small server of the client protocol, on a real WebSocket, that fails when told to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from common.events import (
    Acknowledged,
    End,
    Error,
    FrameVerdict,
    FullSentence,
    Report,
    ServerEvent,
    SessionStarted,
    is_end_of_stream,
    to_json,
)
from common.wire import parse_message


class Refusal(NamedTuple):
    """How to turn a client away as it connects."""

    code: int
    reason: str
    event: Error | None = None


class FakeGateway:
    """Keeps sessions, verdicts every frame ``ok``, commits all but the last ``lag`` frames.

    Attributes:
        sessions: the messages that arrived, per session; a restart forgets them into ``past``.
        past: what sessions before had committed, and told the client so.
        cut_after: abort a connection when it has taken in this many frames; consumed one by one.
        dies_of_frame: abort each connection that brings this frame, without taking it in.
        says_nothing: accept connections and leave it at that.
        drain_at: end the session at this frame of it, unasked, without taking the frame in.
        reject_at: reject the client at this frame of the session.
        refuse: turn the next clients away with these.
        hang_up: so many connections that are closed within the handshake.
        paused: cleared: connections are not read.
        paths: of all connections.
    """

    def __init__(self, *, lag: int = 3) -> None:
        self.lag = lag
        self.sessions: dict[str, list[bytes]] = {}
        self.announced: dict[str, int] = {}
        self.past: list[bytes] = []
        self.cut_after: list[int] = []
        self.dies_of_frame = -1
        self.says_nothing = False
        self.drain_at: int | None = None
        self.reject_at: int | None = None
        self.refuse: list[Refusal] = []
        self.hang_up = 0
        self.paused = asyncio.Event()
        self.paused.set()
        self.paths: list[str] = []
        self.sentences: list[str] = []
        self.on_frame: Callable[[int], list[ServerEvent]] = lambda _: []
        self.port = 0
        self._ids = itertools.count(1)
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """For clients."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def arrived(self) -> list[bytes]:
        """All PCM that sessions kept, in order."""
        messages = self.past + [m for session in self.sessions.values() for m in session]
        return [bytes(parse_message(message).pcm) for message in messages]

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            self.port,
            compression=None,
            process_request=self._on_handshake,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and abort every connection."""
        if self._server is not None:
            for connection in list(self._server.connections):
                connection.transport.abort()
            self._server.close()
            await self._server.wait_closed()

    async def restart_without_sessions(self) -> None:
        """What a killed and restarted gateway looks like to a client."""
        await self.stop()
        for session, messages in self.sessions.items():
            self.past += messages[: self.announced.get(session, 0)]
        self.sessions.clear()
        await self.start()

    def _on_handshake(self, connection: ServerConnection, _: Request) -> None:
        if self.hang_up:
            self.hang_up -= 1
            connection.transport.abort()

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            await self._serve(connection)

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        if self.says_nothing:
            await connection.wait_closed()
        if self.refuse:
            refusal = self.refuse.pop(0)
            if refusal.event:
                await connection.send(to_json(refusal.event))
            await connection.close(refusal.code, refusal.reason)
            return
        integrity = "events" in query
        offered = connection.request.headers.get("Sec-WebSocket-Protocol", "")
        asked = offered.partition("stt.session.")[2]
        resumed = asked in self.sessions
        session = asked if resumed else f"{next(self._ids):032x}"
        frames = self.sessions.setdefault(session, [])
        committed = self.announced.get(session, 0)
        if integrity:
            started = SessionStarted(session, len(frames), committed, resumed, 64, verify=True)
            await connection.send(to_json(started))
        await self._read(connection, session, integrity=integrity)

    async def _read(self, connection: ServerConnection, session: str, *, integrity: bool) -> None:
        frames = self.sessions[session]
        cut_after = self.cut_after.pop(0) if self.cut_after else -1
        async for message in connection:
            await self.paused.wait()
            if isinstance(message, str):
                assert is_end_of_stream(message)
                await self._end(connection, session, integrity=integrity)
                return
            number = len(frames)
            if number == self.dies_of_frame:
                connection.transport.abort()
                return
            if self.drain_at == number:
                self.drain_at = None
                await self._end(connection, session, integrity=integrity)
                self.past += self.sessions.pop(session)
                return
            frames.append(message)
            events: list[ServerEvent] = [FrameVerdict(number, "ok", 0.5), *self.on_frame(number)]
            if self.reject_at == number:
                await connection.send(
                    to_json(FrameVerdict(number, "corrupt", 0.5, failures=1, tolerated=0))
                )
                text = "Connection rejected: Checksum mismatch: expected 1, got 2"
                await connection.send(to_json(Error("data_corruption", text, "disconnect")))
                await connection.close(1008, text)
                return
            committed = max(self.announced.get(session, 0), len(frames) - self.lag)
            events.append(Acknowledged(len(frames), committed))
            if integrity:
                for event in events:
                    await connection.send(to_json(event))
                self.announced[session] = committed
            cut_after -= 1
            if cut_after == 0:
                connection.transport.abort()
                return

    async def _end(self, connection: ServerConnection, session: str, *, integrity: bool) -> None:
        sentence = FullSentence(f"{len(self.sessions[session])} frames")
        self.sentences.append(sentence.text)
        await connection.send(to_json(sentence))
        if integrity:
            frames = len(self.sessions[session])
            report = Report(frames, 1.0, frames, 0, 0, [], 0, 0, 0, 0, 0, 1, {"p50": 0.5})
            await connection.send(to_json(report))
            await connection.send(to_json(End()))
        await connection.close(1000, "end of stream")


@contextlib.asynccontextmanager
async def running(gateway: FakeGateway) -> AsyncIterator[FakeGateway]:
    """The server, for the time of a test."""
    await gateway.start()
    try:
        yield gateway
    finally:
        gateway.paused.set()
        await gateway.stop()
