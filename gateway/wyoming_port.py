"""The Wyoming port: TCP connections of Home Assistant and its like."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event

from common.errors import BusyError, CloseCode
from common.settings import GatewaySettings
from gateway.bounded_connection import LAST_WORDS_S, Connections, far_end
from gateway.connection import STUCK_S
from gateway.heard import Ear
from gateway.metrics import GatewayMetrics
from gateway.outbox import Queued
from gateway.protocols.base import Close, Drained, Finish, Heard, Pass, Refused, Set
from gateway.protocols.wyoming import SayEvent, Wyoming, WyomingAction
from gateway.reception import Reception, Stream

log = logging.getLogger(__name__)

IDLE_S: Final = 300.0
"""A connection that sends nothing for so long is closed."""
MAX_LINE_BYTES: Final = 64 * 1024
NOT_AN_EVENT: Final = "this is no event of the Wyoming protocol"


class BoundedReader:
    """What the package's reader needs of a stream, with a bound to what an event may claim.

    Args:
        limit: bytes of an event's data or audio.

    Attributes:
        fault: why what was read last is no event, should it turn out to be none; "" at the end.
    """

    def __init__(self, reader: asyncio.StreamReader, limit: int) -> None:
        self.fault = ""
        self._reader = reader
        self._limit = limit

    async def readline(self) -> bytes:
        """An event's head; ValueError, which ends the connection, over the stream's own limit."""
        self.fault = NOT_AN_EVENT
        async with asyncio.timeout(IDLE_S):
            line = await self._reader.readline()
        if not line:
            self.fault = ""
        return line

    async def readexactly(self, size: int) -> bytes:
        """An event's data or audio.

        Raises:
            ValueError: it claims to be longer than is taken.
        """
        if size > self._limit:
            self.fault = f"an event of {size} bytes is over the limit of {self._limit}"
            raise ValueError(self.fault)
        async with asyncio.timeout(IDLE_S):
            return await self._reader.readexactly(size)


class WyomingConnection:
    """One connection and its session; a :class:`gateway.clients.Client`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        translator: Wyoming,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
    ) -> None:
        self.address, self.peer = far_end(writer.get_extra_info("peername"))
        self._reader = BoundedReader(reader, settings.max_message_bytes)
        self._writer = writer
        self._translator = translator
        self._most_waiting = settings.results_queue
        self._metrics = metrics
        self._ear = Ear()
        self._waiting: deque[Event] = deque()
        self._is_closing = False
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self._stream: Stream | None = None

    async def serve(self, reception: Reception) -> None:
        """Handle the connection to its end; a session begins with its first audio."""
        writing = asyncio.create_task(self._write(), name=f"wyoming writer {self.peer}")
        try:
            while not self._is_closing and (event := await self._next_event()) is not None:
                self._take(event, reception)
                while self._stream is not None and self._stream.must_wait and not self._is_closing:
                    self._progress.clear()
                    await self._progress.wait()
        except (OSError, TimeoutError, EOFError):
            pass
        except Exception:
            log.exception("the connection of client %s failed", self.peer)
        finally:
            if self._stream is not None:
                self._stream.leave(may_return=False)
            self._end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STUCK_S):
                    await writing
            writing.cancel()
            self._writer.transport.abort()

    # -- a client of the gateway ---------------------------------------------------------------

    def deliver(self, event: Queued) -> None:
        """Tell the translator; what it says to that is sent as soon as the connection allows."""
        heard = self._ear.hear(event)
        if heard is not None:
            self._tell(heard)

    def end(self, code: CloseCode, reason: str) -> None:
        """The session is done with."""
        if self._stream is not None and self._stream.session.drained:
            self._tell(Drained())
        self._end()

    def progress(self) -> None:
        """Let the reader look again."""
        self._progress.set()

    # -- within --------------------------------------------------------------------------------

    async def _next_event(self) -> Event | None:
        """The next event; None at the end, or when what comes is no event, which is then told."""
        event: Event | None = None
        with contextlib.suppress(AttributeError, KeyError, TypeError, RecursionError):
            event = await async_read_event(self._reader)  # type: ignore[arg-type]
        if event is None and self._reader.fault:
            self._metrics.refused.labels("not_an_event").inc()
            self._carry_out(self._translator.unreadable(self._reader.fault))
        return event

    def _take(self, event: Event, reception: Reception) -> None:
        if self._stream is None and event.type in ("audio-start", "transcribe"):
            try:
                self._stream = reception.begin(self, wants_utterances=True)
            except BusyError as error:
                self._carry_out(self._translator.hear(Refused("busy", str(error))))
                return
        self._carry_out(self._translator.receive(event))

    def _tell(self, heard: Heard) -> None:
        try:
            self._carry_out(self._translator.hear(heard))
        except Exception:  # it is called from the hub: nobody else may suffer from it
            log.exception("the connection of client %s failed", self.peer)
            self._end()

    def _carry_out(self, actions: Sequence[WyomingAction]) -> None:
        stream = self._stream
        for action in actions:
            if self._is_closing:
                return
            match action:
                case SayEvent(event=event):
                    self._say(event)
                case Close():
                    self._end()
                case Pass(frame=frame) if stream is not None and stream.takes_audio:
                    stream.accept(frame)
                case Set(name=name, value=value) if stream is not None:
                    stream.set_parameter(name, value)
                case Finish() if stream is not None:
                    stream.finish()

    def _say(self, event: Event) -> None:
        if len(self._waiting) >= self._most_waiting:
            self._metrics.slow_clients.inc()
            log.warning("client %s does not read: %d results wait", self.peer, len(self._waiting))
            self._waiting.clear()
            self._end()
            return
        self._waiting.append(event)
        self._changed.set()

    def _end(self) -> None:
        self._is_closing = True
        self._changed.set()
        self._progress.set()
        self._reader_off()

    def _reader_off(self) -> None:
        """Let a reader that waits for the next event see that there is none."""
        if not self._waiting and not self._writer.is_closing():
            self._writer.close()

    async def _write(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                while self._waiting:
                    await async_write_event(self._waiting.popleft(), self._writer)
                if self._is_closing:
                    self._writer.close()
                    return
                self._changed.clear()
                await self._changed.wait()


class WyomingPort:
    """Serves the port's connections."""

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        reception: Reception,
        engine: Callable[[], str],
        connections: Connections,
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._metrics = metrics
        self._reception = reception
        self._engine = engine

    async def listen(self) -> asyncio.Server:
        """Start to listen.

        Raises:
            OSError: the port cannot be had.
        """
        return await asyncio.start_server(
            self._serve,
            self._settings.host,
            self._settings.wyoming_port,
            limit=MAX_LINE_BYTES,
            reuse_port=self._settings.share_ports or None,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, peer = far_end(writer.get_extra_info("peername"))
        met = self._connections.enter_elsewhere(address, peer)
        if met is not None:
            refusal = Error(text=met.text, code=met.bound).event()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await async_write_event(refusal, writer)
            writer.close()
            asyncio.get_running_loop().call_later(LAST_WORDS_S, writer.transport.abort)
            return
        try:
            translator = Wyoming(engine=self._engine() or "none")
            connection = WyomingConnection(
                reader, writer, translator, self._settings, self._metrics
            )
            await connection.serve(self._reception)
        finally:
            self._connections.leave_elsewhere(address)
