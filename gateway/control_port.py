"""The control port: carries out commands for one session's recorder.

What they look like, and their answers, is in ``gateway/protocols/realtimestt_control.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common import envelope
from common.api_keys import name_of
from common.errors import CloseCode, CommandError
from common.limit_settings import LimitSettings
from common.logs import LogBudget
from common.parameters import TIMES
from common.wire import printable
from gateway.audit import AuditLog
from gateway.budgets import AnswerBudget
from gateway.clients import Clients
from gateway.commands import CommandChannel
from gateway.connection import peer_of
from gateway.control_line import ControlLine
from gateway.handshake import asked_of, of_key
from gateway.local_peer import LocalPeers
from gateway.metrics import GatewayMetrics
from gateway.pairing import FRESH_S, Origin
from gateway.placement import Placement
from gateway.protocols.realtimestt_control import (
    NO_SUCH_SESSION,
    WRONG_PORT,
    CallMethod,
    Command,
    GetParameter,
    SetParameter,
    ShutDown,
    asked,
    refusal,
)
from gateway.protocols.realtimestt_query import query_fields
from gateway.reception import Reception
from gateway.session import Session

log = logging.getLogger(__name__)

PATIENCE_S: Final = 4.0
"""How long a command waits for its session and recorder, and for its answer; below the 5 s that
stock clients wait for a reply."""
REPLY_WAIT_S: Final = 1.5

Request = Callable[[int, bytes], envelope.Message]
"""Makes a numbered command for a session."""


class RefusedError(CommandError):
    """The recorder refuses a command."""


class NoRecorderError(CommandError):
    """There was no answer in time, for want of a session, a transcriber or its reply."""


class ControlPort:
    """Serves the control port's WebSocket connections."""

    def __init__(
        self,
        limits: LimitSettings,
        metrics: GatewayMetrics,
        placement: Placement,
        reception: Reception,
        clients: Clients,
        peers: LocalPeers,
        audit: AuditLog | None = None,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._placement = placement
        self._reception = reception
        self._clients = clients
        self._peers = peers
        self._audit = audit or AuditLog("", 0, 0)

    # -- connections ---------------------------------------------------------------------------

    async def serve(self, websocket: ServerConnection) -> None:
        """Handle one connection from its handshake to its end."""
        address, peer = peer_of(websocket)
        line = ControlLine()
        budget = LogBudget(5, 0.2)
        answers = AnswerBudget(self._limits, time.monotonic())
        was_slowed = False
        path = websocket.request.path if websocket.request else "/"
        fields = query_fields(path)
        if "events" in fields:
            await websocket.close(CloseCode.POLICY_VIOLATION, WRONG_PORT)
            return
        query, api_key = asked_of(websocket)
        key = query.session
        line.key_name = name_of(api_key)
        origin = Origin(address) if key else await self._peers.origin_of(websocket)
        origin = of_key(origin, api_key)
        known = self._connect(line, key, origin)
        try:
            if not known:
                await websocket.send(refusal(NO_SUCH_SESSION))
            async for message in websocket:
                line.used = True
                reply, fault = await self._answer(line, message)
                self._audit.write(
                    "command", key=line.key_name, client=peer, command=line.last, refused=fault
                )
                if fault and budget.allow(time.monotonic()):
                    log.info("client %s: %s", peer, printable(fault))
                await websocket.send(reply)
                if wait_s := answers.answered(len(reply), time.monotonic()):
                    self._metrics.limits_met.labels("answers").inc()
                    if not was_slowed:
                        self._slowed(line, peer)
                    was_slowed = True
                    await asyncio.sleep(wait_s)  # meanwhile its next commands wait in TCP
        except ConnectionClosed:
            pass
        finally:
            self._disconnect(line, key, origin)

    def _slowed(self, line: ControlLine, peer: str) -> None:
        why = "more commands than are answered at once: the next ones wait"
        self._audit.write("limit_hit", key=line.key_name, client=peer, limit="answers", why=why)

    def _connect(self, line: ControlLine, key: str, origin: Origin) -> bool:
        """Find the line's session by name or by order of arrival; whether a given name is one."""
        if key:
            try:
                self._adopted(self._clients.add_named_line(line, key))
            except ValueError:
                return False
            return True
        session = self._clients.add_line(line, time.monotonic(), origin)
        if session is None:
            asyncio.get_running_loop().call_later(FRESH_S, self._claim, line, origin)
        self._adopted(session)
        return True

    def _claim(self, line: ControlLine, origin: Origin) -> None:
        self._adopted(self._clients.claim(line, origin))

    def _disconnect(self, line: ControlLine, key: str, origin: Origin) -> None:
        now_s = time.monotonic()
        self._adopted(self._clients.remove_line(line, key, now_s, origin, used=line.used))

    def _adopted(self, session: Session | None) -> None:
        """A line commands a session now: what was set early becomes its recorder's parameters."""
        if session is not None:
            self._placement.apply_parameters(session)

    # -- commands ------------------------------------------------------------------------------

    async def _answer(self, line: ControlLine, message: str | bytes) -> tuple[str, str]:
        """The reply to one message, and the fault in it, if any."""
        request = asked(message)
        line.last = request.named
        if request.command is None:
            return request.failed(request.fault), request.fault
        try:
            return request.reply(await self._carry_out(line, request.command)), ""
        except CommandError as error:
            return request.failed(str(error)), str(error)

    async def _carry_out(self, line: ControlLine, command: Command) -> dict[str, Any]:
        match command:
            case SetParameter():
                await self._set(line, command)
                return command.done
            case GetParameter(name=name):
                return command.answer(await self._get(line, name))
            case CallMethod(name=name, arguments=arguments):
                await self._request(
                    line,
                    lambda n, session: envelope.CallMethod(n, session, name, [], arguments),
                    once=True,
                )
                return command.done
            case ShutDown():
                await self._shut_down(line, await self._session_of(line))
                return command.done

    async def _set(self, line: ControlLine, command: SetParameter) -> None:
        name, value = command.name, command.value

        def request(number: int, session: bytes) -> envelope.Message:
            return envelope.SetParameter(number, session, name, value)

        if name in TIMES:  # a state of the recorder: nothing to keep for later
            await self._request(line, request)
            return
        if line.session is None and not line.over:
            line.early[name] = value
            return
        session = line.require()
        missing = object()
        before: Any = session.parameters.get(name, missing)
        session.parameters[name] = value
        if self._placement.channel_of(session) is None:
            return  # applied when there is a recorder
        try:
            await self._request(line, request)
        except NoRecorderError:
            pass  # likewise
        except RefusedError:
            if before is missing:
                session.parameters.pop(name, None)
            else:
                session.parameters[name] = before
            raise

    async def _get(self, line: ControlLine, name: str) -> object:
        try:
            reply = await self._request(
                line, lambda n, session: envelope.GetParameter(n, session, name)
            )
        except NoRecorderError:
            if line.session is None or name not in line.session.parameters:
                raise
            return line.session.parameters[name]
        return reply.value

    async def _shut_down(self, line: ControlLine, session: Session) -> None:
        """End a session; returns when it is gone, or its client is slow to close."""
        self._reception.shut_down(session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while line.session is session:
                    await line.next_change()

    # -- the session's recorder ----------------------------------------------------------------

    async def _request(
        self, line: ControlLine, make: Request, *, once: bool = False
    ) -> envelope.Reply:
        """Have the line's recorder carry out a command, waiting until there is one.

        Args:
            once: do not repeat it for the next recorder when one dies over it.

        Raises:
            NoRecorderError: not within :data:`PATIENCE_S`.
            RefusedError: the recorder refuses.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            session, channel = await self._recorder_of(line, deadline_s)
            left_s = deadline_s - time.monotonic()
            session_id = session.id
            try:
                reply = await channel.request(
                    lambda number: make(number, session_id),  # noqa: B023 - used at once
                    max(0.0, min(left_s, REPLY_WAIT_S)),
                )
            except CommandError as error:
                if once or left_s <= REPLY_WAIT_S:
                    raise NoRecorderError(str(error)) from None
                continue
            if not reply.ok:
                raise RefusedError(reply.message)
            return reply

    async def _recorder_of(
        self, line: ControlLine, deadline_s: float
    ) -> tuple[Session, CommandChannel]:
        session = await self._session_of(line, deadline_s)
        self._placement.wake(session)
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                while (channel := self._placement.channel_of(session)) is None:
                    await line.next_change()
                    session = line.require()
        except TimeoutError:
            raise NoRecorderError("no transcriber is ready yet") from None
        return session, channel

    async def _session_of(self, line: ControlLine, deadline_s: float | None = None) -> Session:
        wait_s = PATIENCE_S if deadline_s is None else deadline_s - time.monotonic()
        try:
            async with asyncio.timeout(wait_s):
                while line.session is None and not line.over:
                    await line.next_change()
        except TimeoutError:
            pass
        return line.require()
