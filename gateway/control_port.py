"""The control port: JSON commands for one session's recorder, answered as stock servers answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common import envelope
from common.api_keys import name_of
from common.errors import CloseCode, CommandError
from common.limit_settings import LimitSettings
from common.logs import LogBudget
from common.parameters import TIMES, checked_call, checked_value, quoted, readable_name
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
from gateway.query import query_fields
from gateway.reception import Reception
from gateway.session import Session

log = logging.getLogger(__name__)

PATIENCE_S: Final = 4.0
"""How long a command waits for its session and recorder, and for its answer; below the 5 s that
stock clients wait for a reply."""
REPLY_WAIT_S: Final = 1.5
WRONG_PORT: Final = "this is the control port: audio goes to the data port"
"""To who asks here for the events of a stream."""

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
                await websocket.send(_error("there is no such session"))
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
                    await asyncio.sleep(wait_s)  # meanwhile its next commands wait in TCP
        except ConnectionClosed:
            pass
        finally:
            self._disconnect(line, key, origin)

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
        if isinstance(message, bytes):
            fault = "Received unknown message type on control connection"
            return _error(fault), fault
        command = read_command(message)
        if command is None:
            fault = "Invalid JSON command"
            return _error(fault), fault
        line.last = _named(command)
        request_id = _echoed(command.get("request_id"))
        try:
            reply = await self._carry_out(line, command)
        except CommandError as error:
            return _error(str(error), request_id), str(error)
        if request_id is not None:
            reply["request_id"] = request_id
        return _json(reply), ""

    async def _carry_out(self, line: ControlLine, command: dict[str, Any]) -> dict[str, Any]:
        match command.get("command"):
            case "set_parameter":
                return await self._set(line, command.get("parameter"), command.get("value"))
            case "get_parameter":
                return await self._get(line, readable_name(command.get("parameter")))
            case "call_method":
                return await self._call(line, command)
            case unknown:
                raise CommandError(f"Unknown command {quoted(unknown)}")

    async def _set(self, line: ControlLine, name: object, value: object) -> dict[str, Any]:
        checked = checked_value(name, value)
        parameter = str(name)
        done = {"status": "success", "message": f"Parameter {parameter} set to {value}"}

        def request(number: int, session: bytes) -> envelope.Message:
            return envelope.SetParameter(number, session, parameter, checked)

        if parameter in TIMES:  # a state of the recorder: nothing to keep for later
            await self._request(line, request)
            return done
        if line.session is None and not line.over:
            line.early[parameter] = checked
            return done
        session = line.require()
        missing = object()
        before: Any = session.parameters.get(parameter, missing)
        session.parameters[parameter] = checked
        if self._placement.channel_of(session) is None:
            return done  # applied when there is a recorder
        try:
            await self._request(line, request)
        except NoRecorderError:
            pass  # likewise
        except RefusedError:
            if before is missing:
                session.parameters.pop(parameter, None)
            else:
                session.parameters[parameter] = before
            raise
        return done

    async def _get(self, line: ControlLine, name: str) -> dict[str, Any]:
        try:
            reply = await self._request(
                line, lambda n, session: envelope.GetParameter(n, session, name)
            )
            value = reply.value
        except NoRecorderError:
            if line.session is None or name not in line.session.parameters:
                raise
            value = line.session.parameters[name]
        return {"status": "success", "parameter": name, "value": value}

    async def _call(self, line: ControlLine, command: dict[str, Any]) -> dict[str, Any]:
        name = command.get("method")
        arguments = checked_call(name, command.get("args", []), command.get("kwargs", {}))
        done = {"status": "success", "message": f"Method {name} called"}
        if name == "shutdown":
            await self._shut_down(line, await self._session_of(line))
        else:
            await self._request(
                line,
                lambda n, session: envelope.CallMethod(n, session, str(name), [], arguments),
                once=True,
            )
        return done

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


def _named(command: dict[str, Any]) -> str:
    """A command by its name and what it names, without values."""
    names = (command.get(field) for field in ("command", "parameter", "method"))
    return " ".join(printable(name)[:80] for name in names if isinstance(name, str))


def read_command(message: str) -> dict[str, Any] | None:
    """A command's fields; None for what is no JSON object, or has half a character in it."""
    try:
        command: Any = json.loads(message)
        if "\\u" in message:
            json.dumps(command, ensure_ascii=False).encode()  # a lone surrogate cannot be answered
    except (ValueError, RecursionError):
        return None
    return command if isinstance(command, dict) else None


def _echoed(request_id: object) -> object:
    """A request's id as replies carry it back; None if it is none."""
    if isinstance(request_id, float) and not math.isfinite(request_id):
        return None  # JSON has no word for it
    return request_id if isinstance(request_id, str | int | float) else None


def _error(text: str, request_id: object = None) -> str:
    reply: dict[str, Any] = {"status": "error", "message": text}
    if request_id is not None:
        reply["request_id"] = request_id
    return _json(reply)


def _json(reply: dict[str, Any]) -> str:
    """One reply; msgspec's encoder takes a tenth of the time for a recording's samples."""
    return msgspec.json.encode(reply).decode()
