"""RealtimeSTT's protocol on the control port: JSON commands, answered as its servers answer."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NamedTuple

import msgspec

from common.errors import CommandError
from common.parameters import checked_call, checked_value, quoted, readable_name
from common.wire import Parameter, printable

WRONG_PORT: Final = "this is the control port: audio goes to the data port"
"""To who asks here for the events of a stream."""
NO_SUCH_SESSION: Final = "there is no such session"
NOT_TEXT: Final = "Received unknown message type on control connection"
NOT_JSON: Final = "Invalid JSON command"
MAX_NAME_CHARS: Final = 80


class SetParameter(NamedTuple):
    """Set a parameter of the recorder.

    Attributes:
        value: checked, in the recorder's own type.
        given: as the client wrote it.
    """

    name: str
    value: Parameter
    given: object

    @property
    def done(self) -> dict[str, Any]:
        """The answer."""
        return {"status": "success", "message": f"Parameter {self.name} set to {self.given}"}


class GetParameter(NamedTuple):
    """Read one."""

    name: str

    def answer(self, value: object) -> dict[str, Any]:
        """The answer."""
        return {"status": "success", "parameter": self.name, "value": value}


class CallMethod(NamedTuple):
    """Call a method of the recorder; ``arguments`` are checked."""

    name: str
    arguments: dict[str, Parameter]

    @property
    def done(self) -> dict[str, Any]:
        """The answer."""
        return {"status": "success", "message": f"Method {self.name} called"}


class ShutDown(NamedTuple):
    """End the session (a stock server would end itself)."""

    @property
    def done(self) -> dict[str, Any]:
        """The answer."""
        return CallMethod("shutdown", {}).done


Command = SetParameter | GetParameter | CallMethod | ShutDown


class Asked(NamedTuple):
    """One message on the control port, which gets one reply.

    Attributes:
        command: None: there is none, for the reason in ``fault``.
        named: the command by its name and what it names, without values.
        request_id: to be echoed; None: the client gave none.
    """

    command: Command | None
    fault: str = ""
    named: str = ""
    request_id: object = None

    def reply(self, answer: dict[str, Any]) -> str:
        """The message that answers it."""
        if self.request_id is not None:
            answer = {**answer, "request_id": self.request_id}
        return _json(answer)

    def failed(self, reason: str) -> str:
        """The message that says why it was not carried out."""
        return self.reply({"status": "error", "message": reason})


def asked(message: str | bytes) -> Asked:
    """Read one message; what is no command is told by its ``fault``."""
    if isinstance(message, bytes):
        return Asked(None, NOT_TEXT)
    fields = read_command(message)
    if fields is None:
        return Asked(None, NOT_JSON)
    named, request_id = _named(fields), _echoed(fields.get("request_id"))
    try:
        return Asked(_command(fields), "", named, request_id)
    except CommandError as error:
        return Asked(None, str(error), named, request_id)


def refusal(reason: str) -> str:
    """A message of the server's own accord."""
    return _json({"status": "error", "message": reason})


def _command(fields: dict[str, Any]) -> Command:
    match fields.get("command"):
        case "set_parameter":
            name, given = fields.get("parameter"), fields.get("value")
            value = checked_value(name, given)
            return SetParameter(str(name), value, given)
        case "get_parameter":
            return GetParameter(readable_name(fields.get("parameter")))
        case "call_method":
            method = fields.get("method")
            arguments = checked_call(method, fields.get("args", []), fields.get("kwargs", {}))
            return ShutDown() if method == "shutdown" else CallMethod(str(method), arguments)
        case unknown:
            raise CommandError(f"Unknown command {quoted(unknown)}")


def _named(fields: dict[str, Any]) -> str:
    names = (fields.get(field) for field in ("command", "parameter", "method"))
    return " ".join(printable(name)[:MAX_NAME_CHARS] for name in names if isinstance(name, str))


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


def _json(reply: dict[str, Any]) -> str:
    """One reply; msgspec's encoder takes a tenth of the time for a recording's samples."""
    return msgspec.json.encode(reply).decode()
