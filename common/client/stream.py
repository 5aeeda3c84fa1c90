"""An asyncio client: streams PCM with checksums, survives lost connections, yields typed events.

::

    async with connect("ws://127.0.0.1:8012") as stream:
        await stream.send_file("speech.wav", pace=1.0)
        await stream.finish()
        async for event in stream:
            if isinstance(event, FullSentence):
                print(event.text)

To see events as they come, read them in a task beside the one that sends, or pass ``on_event``.
Frames are numbered from 0 by the client, and frame numbers in events are the client's, also after
a reconnection. Needs no part of the server: importing this loads numpy, msgspec,
websockets and the libraries of the checksums (google-crc32c, xxhash).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..events import Report
from ..integrity import Algorithm
from ..receipts.statement import Bundle
from ..wire import BYTES_PER_SAMPLE
from .access import Access
from .audio import AudioFile
from .buffer import ResendBuffer
from .connection import without_query
from .errors import DisconnectedError, StreamError
from .events import ClientEvent, EventQueue
from .frames import Corruption, FrameBuilder, Pcm, corrupted, pcm_bytes
from .line import Line, LineOptions
from .state import StreamState, VerdictCounts

DEFAULT_URL: Final = "ws://127.0.0.1:8012"
MAX_CHUNK_SAMPLES: Final = 1 << 16
"""Well below a server's usual limit of 1 MiB a frame."""
MAX_UNSENT_FRAMES: Final = 16
"""Frames that wait for the socket before :meth:`Stream.send` waits too."""
COMMIT_PATIENCE_S: Final = 5.0
"""How long a full buffer waits for the server to commit before frames it has are let go of."""
HEADER_ALLOWANCE_BYTES: Final = 256

OnEvent = Callable[[ClientEvent], None]


def connect(
    url: str = DEFAULT_URL,
    *,
    sample_rate_hz: int = 16_000,
    algorithm: Algorithm = Algorithm.ADDITIVE,
    key: bytes = b"",
    session: str | None = None,
    events: bool = True,
    receipt: bool = False,
    api_key: str = "",
    authorities: str = "",
    resend: bool = True,
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
        receipt: ask for signed statements (``Stream.receipts``); keeps 50 bytes a frame.
        api_key: for servers that ask for one.
        authorities: for ``wss://``: PEM file of certificates to trust [the system's].
        resend: with ``events``, send frames again that the server finds corrupt or missing.
        on_event: called with each event as it arrives; must not block. What it raises ends the
            stream and is raised from its methods.
        chunk_samples: longer PCM is cut into frames of this size.
        max_buffer_bytes: bound on the frames kept for sending again.
        max_unread_events: bound on events that wait for ``async for``; at it, verdicts and
            acknowledgements are dropped (the counts stay right), sentences never: once they alone
            reach it the stream ends with :class:`ResultsOverflowError`, or, if ``async for`` was
            never used, the oldest go.
        connect_timeout_s: for one attempt to connect.
        reconnect_s: how long to try again after a lost connection; 0: never.

    Raises:
        ValueError: an argument that cannot be used; the message says which.
    """
    if not 1 <= chunk_samples <= MAX_CHUNK_SAMPLES:
        raise ValueError(f"chunk_samples is {chunk_samples}, allowed are 1 to {MAX_CHUNK_SAMPLES}")
    if receipt and not events:
        raise ValueError("receipts are for streams with integrity events")
    return Stream(
        LineOptions(
            url=url,
            events=events,
            receipt=receipt,
            access=Access(api_key, authorities),
            resend=events and resend,
            connect_timeout_s=connect_timeout_s,
            reconnect_s=reconnect_s,
        ),
        StreamState(ResendBuffer(max_buffer_bytes, acknowledged=events), session),
        FrameBuilder(algorithm, key),
        EventQueue(max_unread_events),
        on_event=on_event,
        sample_rate_hz=sample_rate_hz,
        chunk_samples=chunk_samples,
    )


class Stream:
    """One stream of audio and its events; made by :func:`connect`."""

    def __init__(
        self,
        options: LineOptions,
        state: StreamState,
        builder: FrameBuilder,
        queue: EventQueue,
        *,
        on_event: OnEvent | None,
        sample_rate_hz: int,
        chunk_samples: int,
    ) -> None:
        self.url = options.url
        self._state = state
        self._buffer = state.buffer
        self._builder = builder
        self._queue = queue
        self._on_event = on_event
        self._sample_rate_hz = sample_rate_hz
        self._chunk_samples = chunk_samples
        self._line = Line(options, state, self._deliver)
        self._task: asyncio.Task[None] | None = None
        self._sent_s = 0.0

    # -- life ----------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect; ``async with`` does it.

        Raises:
            ConnectionLostError: nobody answers.
            ServerBusyError: the server is at its limit of sessions.
            UnexpectedServerError: the server has no integrity events.
        """
        connection = await self._line.begin()
        self._task = asyncio.create_task(self._line.run(connection), name="stt-stream")
        self._task.add_done_callback(lambda _: self._queue.close())
        return self

    async def close(self) -> None:
        """Drop the connection; :meth:`finish` first, to get the rest of the results."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._line.close()

    async def wait_closed(self) -> None:
        """Wait until the stream ended, well or badly; raises nothing about it."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # -- what is known -------------------------------------------------------------------------

    @property
    def session(self) -> str | None:
        """Id of the server's session: whoever knows it can take the stream over, so show it to
        nobody. None without integrity events."""
        return self._state.session

    @property
    def verifying(self) -> bool | None:
        """Whether the server checks frames; None if it does not say."""
        return self._state.verifying

    @property
    def verdicts(self) -> VerdictCounts:
        """Counts of the server's verdicts so far."""
        return self._state.verdicts

    @property
    def report(self) -> Report | None:
        """The server's report on the (last) session: at its end, or with a rejection."""
        return self._state.report

    @property
    def receipts(self) -> list[Bundle]:
        """The latest receipt of each session of this stream that gave one, oldest first."""
        return self._state.receipts.bundles

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._line.connected

    @property
    def frames(self) -> int:
        """Frames given to :meth:`send` so far; also the number of the next one."""
        return self._buffer.next_number

    @property
    def sent_s(self) -> float:
        """Seconds of audio given to :meth:`send` so far."""
        return self._sent_s

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes of the frames that are held for sending again."""
        return self._buffer.held_bytes

    @property
    def reconnections(self) -> int:
        """How often the connection was lost and opened again."""
        return self._line.reconnections

    @property
    def resent_frames(self) -> int:
        """Frames that were sent a second time."""
        return self._state.resent_frames

    @property
    def lost_frames(self) -> int:
        """Frames whose audio is gone: a server that had lost the session wanted them when the
        buffer no longer held them."""
        return self._state.lost_frames

    @property
    def dropped_events(self) -> int:
        """Events dropped because nobody read them."""
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
            corrupt: damages each finished message, to show what the server makes of it.

        Returns:
            The number of the last frame sent.

        Raises:
            ValueError: not int16 samples of one channel, or none.
            StreamError: the stream has ended; a subclass says how.
        """
        raw = pcm_bytes(pcm)
        if not raw:
            raise ValueError("no samples to send")
        rate_hz = sample_rate_hz or self._sample_rate_hz
        step = self._chunk_samples * BYTES_PER_SAMPLE
        number = -1
        for start in range(0, len(raw), step):
            frame = raw[start : start + step]
            await self._wait_for_room(len(frame) + HEADER_ALLOWANCE_BYTES)
            message = self._builder.build(
                frame,
                number=self._buffer.next_number,
                sample_rate_hz=rate_hz,
                timestamp_ms=time.time_ns() // 1_000_000,
            )
            number = self._buffer.append(*corrupted(message, corrupt))
            self._sent_s += len(frame) / BYTES_PER_SAMPLE / rate_hz
            self._line.changed.fire()
        return number

    async def send_file(
        self, path: str | Path, *, pace: float | None = 1.0, corrupt: Corruption | None = None
    ) -> int:
        """Send an audio file of any rate, width and number of channels, at its own rate (a raw
        one, ``*.raw`` or ``*.pcm``, at the stream's).

        Args:
            pace: times real time; None: as fast as the server takes it.
            corrupt: as for :meth:`send`.

        Returns:
            The number of frames sent.

        Raises:
            AudioFileError: the file cannot be read.
            StreamError: as :meth:`send`.
        """
        first = self.frames
        with AudioFile(path, raw_rate_hz=self._sample_rate_hz) as audio:
            rate_hz = audio.info.sample_rate_hz
            started_s = time.monotonic()
            samples = 0
            for block in audio.blocks(self._chunk_samples):
                samples += len(block) // BYTES_PER_SAMPLE
                if pace:  # a frame is complete, as from a microphone, when its last sample is
                    due_s = started_s + samples / rate_hz / pace
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await self.send(block, sample_rate_hz=rate_hz, corrupt=corrupt)
        return self.frames - first

    async def finish(self, *, idle_timeout_s: float = 60.0) -> Report | None:
        """Say that no more audio follows and wait until all of it is transcribed.

        Returns:
            The server's report; None without integrity events.

        Raises:
            TimeoutError: the server said nothing for ``idle_timeout_s``.
            StreamError: the stream ended another way.
        """
        if self._task is None:
            raise StreamError("the stream is not open: use it with `async with`")
        line = self._line
        line.finishing = True
        line.changed.fire()
        line.heard_at_s = time.monotonic()
        while not self._task.done():
            left_s = line.heard_at_s + idle_timeout_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(
                    f"{without_query(self.url)} said nothing for {idle_timeout_s:g} s after the "
                    "end of the stream"
                )
            await asyncio.wait([self._task], timeout=left_s)
        if line.error is not None:
            raise line.error
        return self.report

    async def _wait_for_room(self, size: int) -> None:
        while True:
            self._check_open()
            has_room = self._buffer.has_room(size)
            if has_room and (not self.connected or self._buffer.unsent < MAX_UNSENT_FRAMES):
                return
            try:
                async with asyncio.timeout(COMMIT_PATIENCE_S):
                    await self._line.changed.wait()
            except TimeoutError:
                if not has_room and self.connected:
                    self._buffer.evict_received(size)

    def _check_open(self) -> None:
        if self._line.error is not None:
            raise self._line.error
        if self._task is None:
            raise StreamError("the stream is not open: use it with `async with`")
        if self._line.finishing:
            raise StreamError("the stream was finished: nothing can be sent any more")
        if self._task.done():
            raise DisconnectedError(1000, "the server ended the session")

    # -- events --------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        return self

    async def __anext__(self) -> ClientEvent:
        """The next event; the iteration ends with the stream.

        Raises:
            StreamError: the stream ended by a rejection, a lost connection, ...
        """
        event = await self._queue.get()
        if event is not None:
            return event
        if self._line.error is not None:
            raise self._line.error
        raise StopAsyncIteration

    def _deliver(self, event: ClientEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)
        self._queue.put(event)
