"""An asyncio client: streams PCM with checksums, survives lost connections, yields typed events.

::

    async with connect("ws://127.0.0.1:8012") as stream:
        await stream.send_file("speech.wav", pace=1.0)
        report = await stream.finish()
        async for event in stream:
            if isinstance(event, FullSentence):
                print(event.text)

Frames are numbered from 0 by the client; every event's frame numbers are the client's, also after
a reconnection. Needs no part of the server: importing this loads numpy, msgspec and websockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from common.client_audio import AudioFile
from common.client_buffer import ResendBuffer, backoff_s
from common.client_connection import failure_of, open_connection, without_query
from common.client_errors import (
    ConnectionLostError,
    DisconnectedError,
    RejectedError,
    ResultsOverflowError,
    ServerBusyError,
    StreamError,
    UnexpectedServerError,
)
from common.client_events import ClientEvent, EventQueue
from common.client_frames import FrameBuilder, Pcm, flip_bit, pcm_bytes
from common.control_client import ControlClient
from common.events import (
    END_OF_STREAM,
    Acknowledged,
    End,
    Error,
    FrameVerdict,
    FullSentence,
    Realtime,
    Report,
    SessionStarted,
    from_json,
)
from common.integrity import Algorithm
from common.wire import BYTES_PER_SAMPLE

__all__ = [
    "Algorithm",
    "ClientEvent",
    "ConnectionLostError",
    "ControlClient",
    "DisconnectedError",
    "FrameVerdict",
    "FullSentence",
    "Realtime",
    "RejectedError",
    "Report",
    "ResultsOverflowError",
    "ServerBusyError",
    "Stream",
    "StreamError",
    "UnexpectedServerError",
    "VerdictCounts",
    "connect",
    "flip_bit",
]

log = logging.getLogger(__name__)

DEFAULT_URL: Final = "ws://127.0.0.1:8012"
MAX_UNSENT_FRAMES: Final = 16
"""Frames that wait for the socket before :meth:`Stream.send` waits too."""
COMMIT_PATIENCE_S: Final = 5.0
"""How long a full buffer waits for the server to commit before frames it has are let go of."""
STEADY_S: Final = 10.0
"""A connection that lasted this long ends an outage."""

OnEvent = Callable[[ClientEvent], None]
Corruption = Callable[[bytes], bytes]


@dataclasses.dataclass(slots=True)
class VerdictCounts:
    """The server's verdicts so far, each frame counted once."""

    ok: int = 0
    unverified: int = 0
    corrupt: int = 0

    @property
    def total(self) -> int:
        """Frames with a verdict."""
        return self.ok + self.unverified + self.corrupt

    def add(self, verdict: str) -> None:
        """Count one verdict; a name that this client does not know is not counted."""
        if verdict in ("ok", "unverified", "corrupt"):
            setattr(self, verdict, getattr(self, verdict) + 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The arguments of :func:`connect`."""

    sample_rate_hz: int
    session: str | None
    events: bool
    on_event: OnEvent | None
    chunk_samples: int
    max_buffer_bytes: int
    max_unread_events: int
    connect_timeout_s: float
    reconnect_s: float


def connect(
    url: str = DEFAULT_URL,
    *,
    sample_rate_hz: int = 16_000,
    algorithm: Algorithm = Algorithm.ADDITIVE,
    key: bytes = b"",
    session: str | None = None,
    events: bool = True,
    on_event: OnEvent | None = None,
    chunk_samples: int = 2048,
    max_buffer_bytes: int = 32 << 20,
    max_unread_events: int = 4096,
    connect_timeout_s: float = 10.0,
    reconnect_s: float = 60.0,
) -> Stream:
    """A stream to the server at ``url``, for ``async with``.

    Args:
        sample_rate_hz: of the PCM given to :meth:`Stream.send`.
        algorithm: of the checksums; ``key`` is the secret of ``hmac-sha256``.
        session: id of a session to resume, from another :class:`Stream`'s ``session``.
        events: ask for session, verdict, acknowledgement and report events. Without them a
            lost connection is opened again, but what was on the line may be lost.
        on_event: called with each event as it arrives; must not block. What it raises ends the
            stream and is raised from its methods.
        chunk_samples: longer PCM is cut into frames of this size.
        max_buffer_bytes: bound on the frames kept for sending again.
        max_unread_events: bound on events that wait for ``async for``; at it, verdicts and
            acknowledgements are dropped (the counts stay right), sentences never: once they alone
            reach it the stream ends with :class:`ResultsOverflowError`.
        connect_timeout_s: for one attempt to connect.
        reconnect_s: how long to try again after a lost connection; 0: never.
    """
    options = StreamOptions(
        sample_rate_hz=sample_rate_hz,
        session=session,
        events=events,
        on_event=on_event,
        chunk_samples=chunk_samples,
        max_buffer_bytes=max_buffer_bytes,
        max_unread_events=max_unread_events,
        connect_timeout_s=connect_timeout_s,
        reconnect_s=reconnect_s,
    )
    return Stream(url, options, FrameBuilder(algorithm, key))


class Stream:
    """One stream of audio and its events; made by :func:`connect`.

    Attributes:
        session: the id of the server's session: a capability, show it to nobody. None without
            integrity events.
        verifying: whether the server checks frames; None before it said so.
        verdicts: counts of the verdicts so far.
        report: the server's report, once the stream is finished.
        reconnections: how often the connection was lost and opened again.
        resent_frames: frames sent a second time.
        lost_frames: frames whose audio is gone because the buffer no longer held them when a
            server that had lost the session wanted them.
    """

    def __init__(self, url: str, options: StreamOptions, builder: FrameBuilder) -> None:
        self.url = url
        self.session: str | None = options.session
        self.verifying: bool | None = None
        self.verdicts = VerdictCounts()
        self.report: Report | None = None
        self.reconnections = 0
        self.resent_frames = 0
        self.lost_frames = 0
        self._options = options
        self._builder = builder
        self._buffer = ResendBuffer(options.max_buffer_bytes, acknowledged=options.events)
        self._queue = EventQueue(options.max_unread_events)
        self._changed = asyncio.Event()  # pulsed when anything that a sender waits for moves
        self._connection: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._last_error: Error | None = None
        self._finishing = False
        self._ended = False
        self._judged = 0  # frames below have a verdict
        self._heard_at_s = 0.0
        self._progress_at_s = 0.0

    # -- life ----------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect; ``async with`` does it.

        Raises:
            ConnectionLostError: nobody answers.
            ServerBusyError: the server is at its limit of sessions.
            UnexpectedServerError: the server has no integrity events.
        """
        connection = await self._open_connection()
        self._task = asyncio.create_task(self._run(connection), name="stt-stream")
        return self

    async def close(self) -> None:
        """Drop the connection; :meth:`finish` first, to get the rest of the results."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connection is not None

    @property
    def frames(self) -> int:
        """Frames given to :meth:`send` so far; also the number of the next one."""
        return self._buffer.next_number

    @property
    def dropped_events(self) -> int:
        """Verdicts, acknowledgements and notices dropped because nobody read them."""
        return self._queue.dropped

    # -- sending -------------------------------------------------------------------------------

    async def send(
        self,
        pcm: Pcm,
        *,
        sample_rate_hz: int | None = None,
        corrupt: Corruption | None = None,
    ) -> int:
        """Send int16 mono samples as one frame, or several if there are many.

        Waits while the server reads more slowly than this (back-pressure), and through a lost
        connection once the buffer is full.

        Args:
            corrupt: damages each finished message, to demonstrate what the server makes of it.

        Returns:
            The number of the last frame sent.

        Raises:
            ValueError: not int16 samples of one channel, or none.
            StreamError: the stream has ended; a subclass says how.
        """
        raw = pcm_bytes(pcm)
        if not raw:
            raise ValueError("no samples to send")
        step = self._options.chunk_samples * BYTES_PER_SAMPLE
        rate = sample_rate_hz or self._options.sample_rate_hz
        number = -1
        for start in range(0, len(raw), step):
            number = await self._send_frame(raw[start : start + step], rate, corrupt)
        return number

    async def send_file(self, path: str | Path, *, pace: float | None = 1.0) -> int:
        """Send an audio file of any rate, width and number of channels, at its own rate.

        Args:
            pace: times real time; None: as fast as the server takes it.

        Returns:
            The number of frames sent.

        Raises:
            AudioFileError: the file cannot be read.
            StreamError: as :meth:`send`.
        """
        first = self.frames
        with AudioFile(path) as audio:
            rate = audio.info.sample_rate_hz
            started_s = time.monotonic()
            samples = 0
            for block in audio.blocks(self._options.chunk_samples):
                samples += len(block) // BYTES_PER_SAMPLE
                if pace:  # a frame is complete, as from a microphone, when its last sample is
                    due_s = started_s + samples / rate / pace
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await self.send(block, sample_rate_hz=rate)
        return self.frames - first

    async def finish(self, *, idle_timeout_s: float = 60.0) -> Report | None:
        """Say that no more audio follows and wait until all of it is transcribed.

        Returns:
            The server's report; None without integrity events.

        Raises:
            TimeoutError: the server said nothing for ``idle_timeout_s``.
            StreamError: the stream ended another way.
        """
        self._finishing = True
        self._pulse()
        self._heard_at_s = time.monotonic()
        while self._task is not None and not self._task.done():
            left_s = self._heard_at_s + idle_timeout_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(
                    f"{without_query(self.url)} said nothing for {idle_timeout_s:g} s after the "
                    "end of the stream"
                )
            await asyncio.wait([self._task], timeout=left_s)
        if self._error is not None:
            raise self._error
        return self.report

    async def _send_frame(self, pcm: bytes, rate_hz: int, corrupt: Corruption | None) -> int:
        await self._wait_for_room(len(pcm))
        message = self._builder.build(
            pcm,
            number=self._buffer.next_number,
            sample_rate_hz=rate_hz,
            timestamp_ms=time.time_ns() // 1_000_000,
        )
        number = self._buffer.append(corrupt(message) if corrupt else message)
        self._pulse()
        return number

    async def _wait_for_room(self, size: int) -> None:
        while True:
            self._check_open()
            has_room = self._buffer.has_room(size)
            if has_room and (not self.connected or self._buffer.unsent < MAX_UNSENT_FRAMES):
                return
            try:
                async with asyncio.timeout(COMMIT_PATIENCE_S):
                    await self._changed.wait()
            except TimeoutError:
                if not has_room and self.connected:
                    self._buffer.evict_received(size)

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._finishing:
            raise StreamError("the stream was finished: nothing can be sent any more")
        if self._task is None:
            raise StreamError("the stream is not open: use it with `async with`")
        if self._task.done() or self._ended:
            raise DisconnectedError(1000, "the server ended the session")

    # -- events --------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        return self

    async def __anext__(self) -> ClientEvent:
        """The next event; ends with the stream.

        Raises:
            StreamError: the stream ended by a rejection, a lost connection, ...
        """
        event = await self._queue.get()
        if event is not None:
            return event
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    def _receive(self, text: str | bytes) -> None:
        self._heard_at_s = time.monotonic()
        try:
            event = from_json(text)
        except msgspec.DecodeError as error:
            log.warning("ignored a message that is not an event: %s", error)
            return
        match event:
            case FrameVerdict():
                event = msgspec.structs.replace(
                    event, sequence=self._buffer.number_of(event.sequence)
                )
                if event.sequence >= self._judged:
                    self._judged = event.sequence + 1
                    self.verdicts.add(event.verdict)
            case Acknowledged(received=received, committed=committed):
                if self._buffer.acknowledge(received, committed):
                    self._progress_at_s = self._heard_at_s
                    self._pulse()
                event = Acknowledged(
                    self._buffer.number_of(received), self._buffer.number_of(committed)
                )
            case Error():
                self._last_error = event
            case Report():
                self.report = event
            case End():
                self._ended = True
            case _:
                pass
        self._deliver(event)

    def _deliver(self, event: ClientEvent) -> None:
        if self._options.on_event is not None:
            self._options.on_event(event)
        self._queue.put(event)

    # -- the connection ------------------------------------------------------------------------

    async def _open_connection(self) -> ClientConnection:
        opening = await open_connection(
            self.url,
            events=self._options.events,
            session=self.session if self._options.events else None,
            timeout_s=self._options.connect_timeout_s,
        )
        started = opening.started
        if started is not None:
            self._begin_session(started)
        self._last_error = None
        for event in opening.early:
            self._deliver(event)
        if started is not None:
            self._deliver(started)
        return opening.connection

    def _begin_session(self, started: SessionStarted) -> None:
        if self.session is not None and not started.resumed:
            log.warning("the server does not know the session any more: a new one begins")
        resumption = self._buffer.connected(
            started.next_sequence, started.committed_sequence, resumed=started.resumed
        )
        if resumption.lost:
            log.warning("%d frames are lost: no longer held for resending", resumption.lost)
        self.session = started.session
        self.verifying = started.verify
        self.resent_frames += resumption.resent
        self.lost_frames += resumption.lost

    async def _run(self, connection: ClientConnection) -> None:
        """Serve connections until the stream ends; its ending is left in ``_error``."""
        try:
            while True:
                opened_at_s = self._heard_at_s = time.monotonic()
                await self._serve(connection)
                if self._is_over(connection):
                    break
                log.warning(
                    "connection to %s lost (%s), trying again",
                    without_query(self.url),
                    connection.close_code,
                )
                connection = await self._reconnect(max(opened_at_s, self._progress_at_s))
        except asyncio.CancelledError:
            self._error = self._error or StreamError("the stream was closed")
            raise
        except Exception as error:
            self._error = error
        finally:
            self._ended = True
            self._queue.close()
            self._pulse()

    async def _serve(self, connection: ClientConnection) -> None:
        """Read one connection until it closes or the stream ends, writing at the same time."""
        self._connection = connection
        self._pulse()
        writer = asyncio.create_task(self._write(connection), name="stt-stream-writer")
        try:
            with contextlib.suppress(ConnectionClosed):
                while not self._ended:
                    self._receive(await connection.recv())
        finally:
            self._connection = None
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await connection.close()

    async def _write(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader deals with it
            while True:
                message = self._buffer.take()
                if message is not None:
                    self._pulse()
                    await connection.send(message)
                elif self._finishing:
                    await connection.send(END_OF_STREAM)
                    return
                else:
                    await self._changed.wait()

    def _is_over(self, connection: ClientConnection) -> bool:
        """Whether the stream ended well; raises if it ended badly; else the connection was lost."""
        if self._ended:
            return True
        failure = failure_of(connection, self._last_error, failures=self.verdicts.corrupt)
        if isinstance(failure, DisconnectedError) and failure.code == 1000:
            return True  # servers without an end event just close, as after a `shutdown` command
        if failure is not None and not isinstance(failure, ServerBusyError):
            raise failure
        return False

    async def _reconnect(self, healthy_at_s: float) -> ClientConnection:
        """Connect again, backing off.

        Args:
            healthy_at_s: when the stream last made progress: what the deadline counts from, so
                that a server that dies of each connection is not tried for ever.
        """
        now_s = time.monotonic()
        if now_s - healthy_at_s > STEADY_S:
            healthy_at_s = now_s
            self._attempt = 0
        deadline_s = healthy_at_s + self._options.reconnect_s
        last: StreamError | None = None
        while True:
            wait_s = backoff_s(self._attempt, random.random())
            if time.monotonic() + wait_s > deadline_s:
                raise (
                    last
                    if isinstance(last, ServerBusyError)
                    else ConnectionLostError(
                        f"lost the connection to {without_query(self.url)} and could not open it "
                        f"again within {self._options.reconnect_s:g} s"
                        + (f": {last}" if last else "")
                    )
                )
            self._attempt += 1
            await asyncio.sleep(wait_s)
            try:
                connection = await self._open_connection()
            except (ConnectionLostError, ServerBusyError) as error:
                last = error
            else:
                self.reconnections += 1
                return connection

    def _pulse(self) -> None:
        """Wake every task that waits on ``_changed``; each looks again for itself."""
        self._changed.set()
        self._changed.clear()
