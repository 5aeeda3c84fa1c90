"""The control port: JSON commands for one session's recorder, answered as stock servers answer."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common import envelope as ev
from common.envelope import Parameter
from common.errors import CommandError
from common.parameters import check_method, check_readable, validated
from gateway.connection import peer_of
from gateway.hub import Hub
from gateway.pairing import Pairing
from gateway.session import Session

log = logging.getLogger(__name__)

SESSION_WAIT_S: Final = 3.0
"""How long a command waits for its session; below the 5 s that stock clients wait for a reply."""
REPLY_WAIT_S: Final = 1.5
MAX_ARGUMENTS: Final = 16


class Sessions(Protocol):
    """What the control port needs of the data port."""

    def find(self, key: str) -> Session | None:
        """The session with this id."""

    def adopt_control(self, session_id: bytes, control: ControlLine) -> None:
        """Let a control connection command a session."""

    def end_session(self, session: Session) -> None:
        """Shut a session down."""


class ControlLine:
    """One control connection: which session it commands, and what was set before there was one."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.early: dict[str, Parameter] = {}
        self._attached = asyncio.Event()

    def attach(self, session: Session) -> None:
        """The session is there: what was set early becomes its parameters."""
        self.session = session
        session.parameters.update(self.early)
        self._attached.set()

    def detach(self) -> None:
        """The session ended."""
        self.session = None
        self._attached.clear()

    async def wait(self) -> Session:
        """The session, once there is one.

        Raises:
            CommandError: none within a few seconds.
        """
        try:
            async with asyncio.timeout(SESSION_WAIT_S):
                await self._attached.wait()
        except TimeoutError:
            pass
        if self.session is None:
            raise CommandError("there is no data connection to command")
        return self.session


class ControlPort:
    """Serves the control port's WebSocket connections."""

    def __init__(self, hub: Hub, pairing: Pairing[ControlLine, bytes]) -> None:
        self._hub = hub
        self._pairing = pairing
        self.sessions: Sessions | None = None

    async def serve(self, websocket: ServerConnection) -> None:
        """Handle one connection from its handshake to its end."""
        address, peer = peer_of(websocket)
        line = ControlLine()
        path = websocket.request.path if websocket.request else "/"
        key = parse_qs(urlsplit(path).query, max_num_fields=20).get("session", [""])[-1]
        if not self._connect(line, address, key):
            await websocket.send(_error("there is no such session"))
        try:
            async for message in websocket:
                await websocket.send(await self._answer(line, message, peer))
        except ConnectionClosed:
            pass
        finally:
            self._pairing.remove_control(address, line)

    def _connect(self, line: ControlLine, address: str, key: str) -> bool:
        """Find the line's session by id or by order of arrival; whether a given id is known."""
        assert self.sessions is not None
        if key:
            session = self.sessions.find(key)
            if session is None:
                return False
            self._pairing.remove_data(address, session.id)
            self.sessions.adopt_control(session.id, line)
            return True
        session_id = self._pairing.add_control(address, line)
        if session_id is not None:
            self.sessions.adopt_control(session_id, line)
        return True

    async def _answer(self, line: ControlLine, message: str | bytes, peer: str) -> str:
        """The reply to one message; any fault becomes an error reply."""
        if isinstance(message, bytes):
            return _error("Received unknown message type on control connection")
        try:
            command: Any = json.loads(message)
        except (ValueError, RecursionError):
            return _error("Invalid JSON command")
        if not isinstance(command, dict):
            return _error("Invalid JSON command")
        request_id = command.get("request_id")
        try:
            reply = await self._carry_out(line, command)
        except CommandError as error:
            log.info("client %s: %s", peer, error)
            return _error(str(error), request_id)
        if request_id is not None:
            reply["request_id"] = request_id
        return json.dumps(reply)

    async def _carry_out(self, line: ControlLine, command: dict[str, Any]) -> dict[str, Any]:
        match command.get("command"):
            case "set_parameter":
                return await self._set(line, command.get("parameter"), command.get("value"))
            case "get_parameter":
                return await self._get(line, check_readable(command.get("parameter")))
            case "call_method":
                return await self._call(line, command)
            case unknown:
                raise CommandError(f"Unknown command {unknown}")

    async def _set(self, line: ControlLine, name: object, value: Any) -> dict[str, Any]:
        checked = validated(name, value)
        parameter = str(name)
        done = {"status": "success", "message": f"Parameter {parameter} set to {value}"}
        session = line.session
        if session is None:
            line.early[parameter] = checked
            return done
        session.parameters[parameter] = checked
        channel = self._hub.placement.channel_of(session)
        if channel is None:  # applied when the recorder opens
            return done
        reply = await channel.request(
            lambda number: ev.SetParameter(number, session.id, parameter, checked), REPLY_WAIT_S
        )
        _check(reply)
        return done

    async def _get(self, line: ControlLine, name: str) -> dict[str, Any]:
        session = await line.wait()
        channel = self._hub.placement.channel_of(session)
        if channel is None:
            if name not in session.parameters:
                raise CommandError(f"Parameter {name} is not known: no transcriber is ready yet")
            return {"status": "success", "parameter": name, "value": session.parameters[name]}
        reply = await channel.request(
            lambda number: ev.GetParameter(number, session.id, name), REPLY_WAIT_S
        )
        _check(reply)
        return {"status": "success", "parameter": name, "value": reply.value}

    async def _call(self, line: ControlLine, command: dict[str, Any]) -> dict[str, Any]:
        name = check_method(command.get("method"))
        args, kwargs = _arguments(command)
        done = {"status": "success", "message": f"Method {name} called"}
        session = await line.wait()
        if name == "shutdown":
            assert self.sessions is not None
            self.sessions.end_session(session)
            return done
        channel = self._hub.placement.channel_of(session)
        if channel is None:
            raise CommandError(f"Method {name} cannot be called: no transcriber is ready yet")
        reply = await channel.request(
            lambda number: ev.CallMethod(number, session.id, name, args, kwargs), REPLY_WAIT_S
        )
        _check(reply)
        return done


def _arguments(command: dict[str, Any]) -> tuple[list[Parameter], dict[str, Parameter]]:
    args, kwargs = command.get("args", []), command.get("kwargs", {})
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise CommandError("args must be a list and kwargs an object")
    if len(args) + len(kwargs) > MAX_ARGUMENTS:
        raise CommandError(f"more than {MAX_ARGUMENTS} arguments")
    return args, kwargs


def _check(reply: ev.Reply) -> None:
    if not reply.ok:
        raise CommandError(reply.message)


def _error(text: str, request_id: Any = None) -> str:
    reply: dict[str, Any] = {"status": "error", "message": text}
    if request_id is not None:
        reply["request_id"] = request_id
    return json.dumps(reply)
