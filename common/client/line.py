"""Keeps a client's line to the server up: writes frames, reads events, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..errors import CloseCode
from ..events import END_OF_STREAM, Resend, end_of_stream, from_json
from .access import Access
from .buffer import backoff_s
from .connection import NOTHING, failure_of, open_connection, without_query
from .errors import (
    ConnectionLostError,
    DisconnectedError,
    HungUpError,
    ServerBusyError,
    StreamError,
)
from .events import ClientEvent
from .state import StreamState

log = logging.getLogger(__name__)

HUNG_UP_RETRIES: Final = 3
STEADY_S: Final = 10.0
"""A connection that lasted this long ends an outage."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """How to reach the server."""

    url: str
    events: bool
    receipt: bool = False
    access: Access = NOTHING
    resend: bool = False
    connect_timeout_s: float
    reconnect_s: float


class Signal:
    """Wakes every task that waits on it; each then looks for itself whether to wait again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next :meth:`fire`."""
        await self._event.wait()

    def fire(self) -> None:
        """Wake those that wait now."""
        self._event.set()
        self._event.clear()


class Line:
    """One stream's connections, one after the other.

    Args:
        deliver: called with each event, numbered as the client numbers its frames; what it
            raises ends the stream.

    Attributes:
        changed: fires when frames went out, were acknowledged, or the line went up or down.
        error: how the stream ended, if it ended badly.
        finishing: no more frames will be appended: say so once all are sent.
        heard_at_s: when the server last said something (monotonic clock).
    """

    def __init__(
        self, options: LineOptions, state: StreamState, deliver: Callable[[ClientEvent], None]
    ) -> None:
        self._options = options
        self._state = state
        self._deliver = deliver
        self._where = without_query(options.url)
        self.changed = Signal()
        self.error: BaseException | None = None
        self.finishing = False
        self.connected = False
        self.reconnections = 0
        self.heard_at_s = 0.0
        self._connection: ClientConnection | None = None
        self._progress_at_s = 0.0
        self._outage_at_s = 0.0
        self._attempt = 0

    async def open(self) -> ClientConnection:
        """Connect, and learn which frame the server wants next.

        Raises:
            StreamError: it cannot be.
        """
        state, options = self._state, self._options
        opening = await open_connection(
            options.url,
            events=options.events,
            session=state.session if options.events else None,
            sentences=state.sentences,
            within=state.buffer.begin_within,
            timeout_s=options.connect_timeout_s,
            receipt=options.receipt,
            access=options.access,
            resend_from=state.buffer.first_number if options.resend else None,
        )
        state.last_error = None
        try:
            for event in opening.early:
                self._deliver(state.receive(event))
            if opening.started is not None:
                state.begin(opening.started)
                self._deliver(opening.started)
        except BaseException:
            await opening.connection.close()
            raise
        self.heard_at_s = time.monotonic()
        self._connection = opening.connection
        return opening.connection

    async def begin(self) -> ClientConnection:
        """:meth:`open` for the first time: one that hangs up meanwhile is tried again, thrice.

        Where one of several servers is ended, or restarts, the next connection finds another.
        """
        for attempt in range(HUNG_UP_RETRIES if self._options.reconnect_s else 0):
            try:
                return await self.open()
            except HungUpError as error:
                log.warning("%s; trying again", error)
                await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311 - jitter
        return await self.open()

    async def run(self, connection: ClientConnection) -> None:
        """Serve connections until the stream ends; how it ended badly is left in ``error``."""
        try:
            while True:
                opened_at_s = time.monotonic()
                await self._serve(connection)
                if self._is_over(connection):
                    break
                log.warning(
                    "connection to %s ended (close code %s); trying for %g s to go on with it",
                    self._where,
                    connection.close_code,
                    self._options.reconnect_s,
                )
                self._note_outage(opened_at_s, time.monotonic())
                connection = await self._reconnect()
        except Exception as error:
            self.error = error
        finally:
            self.changed.fire()

    async def close(self) -> None:
        """The task of :meth:`run` was cancelled, or never began: leave no connection behind."""
        self.error = self.error or StreamError("the stream was closed")
        if self._connection is not None:
            await self._connection.close()

    async def _serve(self, connection: ClientConnection) -> None:
        """Read one connection until it closes or the stream ends, writing at the same time."""
        self.connected = True
        self.changed.fire()
        writer = asyncio.create_task(self._write(connection), name="stt-stream writer")
        try:
            with contextlib.suppress(ConnectionClosed):
                while not self._state.ended:
                    self._receive(await connection.recv())
        finally:
            self.connected = False
            writer.cancel()
            (outcome,) = await asyncio.gather(writer, return_exceptions=True)
            await connection.close()
        if isinstance(outcome, Exception):
            raise outcome

    async def _write(self, connection: ClientConnection) -> None:
        said_end = False
        with contextlib.suppress(ConnectionClosed):  # the reader deals with it
            while True:
                while self._state.replies:
                    await connection.send(self._state.replies.popleft())
                buffer = self._state.buffer
                message = buffer.take()
                if message is not None:
                    self.changed.fire()
                    await connection.send(message)
                elif self.finishing and not buffer.unsent and not said_end:
                    # The server may still ask for some of the frames: go on answering.
                    said_end = True
                    await connection.send(
                        END_OF_STREAM
                        if buffer.window is None
                        else end_of_stream(buffer.next_number)
                    )
                else:
                    await self.changed.wait()

    def _receive(self, text: str | bytes) -> None:
        self.heard_at_s = time.monotonic()
        try:
            event = from_json(text)
        except msgspec.DecodeError as error:
            log.warning("ignored a message of the server that is not an event: %s", error)
            return
        before = self._state.buffer.progress
        event = self._state.receive(event)
        if self._state.buffer.progress != before:
            self._progress_at_s = self.heard_at_s
            self.changed.fire()
        elif isinstance(event, Resend):
            self.changed.fire()
        self._deliver(event)

    def _is_over(self, connection: ClientConnection) -> bool:
        """Whether the stream ended well; raises if it ended badly; else it goes on elsewhere."""
        if self._state.ended:
            if self.finishing and self._state.all_taken_in:
                return True
            self._state.leave_session()
            return False
        failure = failure_of(connection, self._state.last_error, failures=self._state.failures)
        if isinstance(failure, DisconnectedError) and failure.code == CloseCode.NORMAL:
            return True  # servers without an end event just close, as after a `shutdown` command
        if failure is not None and not isinstance(failure, ServerBusyError):
            raise failure
        return False

    def _note_outage(self, opened_at_s: float, now_s: float) -> None:
        """A server that dies of each connection makes one long outage, not many short ones."""
        if now_s - opened_at_s > STEADY_S or self._progress_at_s >= self._outage_at_s:
            self._outage_at_s = now_s
            self._attempt = 0

    async def _reconnect(self) -> ClientConnection:
        deadline_s = self._outage_at_s + self._options.reconnect_s
        last: StreamError | None = None
        while True:
            wait_s = backoff_s(self._attempt, random.random())  # noqa: S311 - jitter
            if time.monotonic() + wait_s > deadline_s:
                if isinstance(last, ServerBusyError):
                    raise last
                raise ConnectionLostError(
                    f"lost the connection to {self._where} and could not go on with it within "
                    f"{self._options.reconnect_s:g} s" + (f": {last}" if last else "")
                )
            self._attempt += 1
            await asyncio.sleep(wait_s)
            try:
                connection = await self.open()
            except (ConnectionLostError, ServerBusyError) as error:
                last = error
            else:
                self.reconnections += 1
                log.warning("connected to %s again", self._where)
                return connection
