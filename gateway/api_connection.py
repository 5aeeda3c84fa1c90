"""A WebSocket of the API port: carries out what its translator asks for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from common.api_keys import ApiKey
from common.errors import BusyError, CloseCode
from common.settings import GatewaySettings
from gateway.connection import STUCK_S, close_reason
from gateway.heard import Ear
from gateway.metrics import GatewayMetrics
from gateway.outbox import Queued
from gateway.protocols.base import (
    Action,
    Close,
    Drained,
    Finish,
    Heard,
    Pass,
    Refused,
    Say,
    Set,
    Translator,
)
from gateway.reception import Reception, Stream

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
ABORT: Final = "stt.abort"
"""Extension of a WebSocket's scope: a function that cuts the connection."""


class ApiConnection:
    """One connection and its session; a :class:`gateway.clients.Client`.

    Args:
        key: that the client came in with.
    """

    def __init__(
        self,
        websocket: WebSocket,
        translator: Translator,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        key: ApiKey | None,
    ) -> None:
        client = websocket.client
        self.address = client.host if client is not None else "local"
        self.peer = f"{self.address}:{client.port}" if client is not None else "local"
        self._websocket = websocket
        self._translator = translator
        self._limit = settings.max_message_bytes
        self._most_waiting = settings.results_queue
        self._metrics = metrics
        self._key = key
        self._ear = Ear()
        self._waiting: deque[bytes] = deque()
        self._close: Close | None = None
        self._sent = 0
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self._stream: Stream | None = None
        self._is_done = False

    async def serve(self, reception: Reception) -> None:
        """Handle the connection, which was accepted, to its end."""
        writer = asyncio.create_task(self._write(), name=f"api writer {self.peer}")
        ticker = asyncio.create_task(self._tick(), name=f"api ticker {self.peer}")
        try:
            self._stream = reception.begin(self, wants_utterances=True, key=self._key)
            self._carry_out(self._translator.open(time.monotonic()))
            await self._read(self._stream)
        except BusyError as error:
            self._carry_out(self._translator.hear(Refused("busy", str(error))))
        except WebSocketDisconnect:
            pass
        except Exception:
            self._fail()
        finally:
            ticker.cancel()
            if self._stream is not None:
                self._stream.leave(may_return=False)
            if self._close is None:
                writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            self._is_done = True

    # -- a client of the gateway ---------------------------------------------------------------

    def deliver(self, event: Queued) -> None:
        """Tell the translator; what it says to that is sent as soon as the connection allows."""
        heard = self._ear.hear(event)
        if heard is not None:
            self._tell(heard)

    def end(self, code: CloseCode, reason: str) -> None:
        """The session is done with: of its end, of the server's, or of another's will."""
        if self._close is not None:
            return
        if self._stream is not None and self._stream.session.drained:
            self._tell(Drained())
        self._end(Close(int(code), reason))

    def progress(self) -> None:
        """Let the reader look again."""
        self._progress.set()

    # -- within --------------------------------------------------------------------------------

    async def _read(self, stream: Stream) -> None:
        receive = self._websocket.receive
        while self._close is None:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._end(Close(CloseCode.NORMAL, ""))
                return
            text = message.get("text")
            self._take(message["bytes"] if text is None else text)
            while stream.must_wait and self._close is None:
                self._metrics.window_stalls.inc()
                self._progress.clear()
                await self._progress.wait()
            if stream.has_quota:
                await self._keep_to_quota(stream)

    async def _keep_to_quota(self, stream: Stream) -> None:
        """Wait as long as the key's speed wants; or it may send no more today."""
        spent = stream.spent()
        if spent.refused:
            self._carry_out(self._translator.hear(Refused("quota", spent.refused)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(spent.pause_s):
                while self._close is None:
                    self._progress.clear()
                    await self._progress.wait()

    def _tell(self, heard: Heard) -> None:
        try:
            self._carry_out(self._translator.hear(heard))
        except Exception:  # it is called from the hub: nobody else may suffer from it
            self._fail()

    def _fail(self) -> None:
        log.exception("the connection of client %s failed", self.peer)
        self._end(Close(CloseCode.INTERNAL_ERROR, "internal error"))

    def _take(self, data: str | bytes) -> None:
        if self._close is not None:
            return
        if len(data) > self._limit:
            self._metrics.refused.labels("too_large").inc()
            self._carry_out(self._translator.too_large(len(data), self._limit))
        else:
            self._carry_out(self._translator.receive(data, time.monotonic()))

    def _carry_out(self, actions: Sequence[Action]) -> None:
        stream = self._stream
        for action in actions:
            if self._close is not None:
                return
            match action:
                case Say(message=message):
                    self._say(msgspec.json.encode(message))
                case Close():
                    self._end(action)
                case Pass(frame=frame) if stream is not None and stream.takes_audio:
                    stream.accept(frame)
                case Set(name=name, value=value) if stream is not None:
                    stream.set_parameter(name, value)
                case Finish() if stream is not None:
                    stream.finish()

    def _say(self, message: bytes) -> None:
        if len(self._waiting) >= self._most_waiting:
            self._metrics.slow_clients.inc()
            text = f"{len(self._waiting)} results wait to be read"
            log.warning("client %s does not read: %s", self.peer, text)
            self._waiting.clear()
            self._end(Close(CloseCode.POLICY_VIOLATION, "client does not read its results"))
            return
        self._waiting.append(message)
        self._changed.set()

    def _end(self, close: Close) -> None:
        if self._close is not None:
            return
        self._close = close
        self._changed.set()
        self._progress.set()
        self._cut_when_stuck()

    async def _write(self) -> None:
        try:
            while True:
                while self._waiting:
                    await self._websocket.send_text(self._waiting.popleft().decode())
                    self._sent += 1
                if self._close is not None:
                    code, reason = self._close
                    await self._websocket.close(code, close_reason(reason))
                    return
                self._changed.clear()
                await self._changed.wait()
        except (WebSocketDisconnect, RuntimeError):  # Starlette: it is gone
            self._end(Close(CloseCode.NORMAL, ""))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._carry_out(self._translator.tick(time.monotonic()))
            except Exception:  # nobody awaits this task: a client would never be let go
                self._fail()
                return

    def _cut_when_stuck(self) -> None:
        """Cut a connection whose client reads nothing, for it cannot even be told to go."""
        sent = self._sent
        abort: Callable[[], None] | None = self._websocket.scope["extensions"].get(ABORT)

        def check() -> None:
            if self._is_done:
                return
            if self._sent != sent:
                self._cut_when_stuck()
            elif abort is not None:
                abort()

        asyncio.get_running_loop().call_later(STUCK_S, check)
