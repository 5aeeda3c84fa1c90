"""The control client against a server that answers as stock servers do, or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from common.client import ConnectionLostError, ControlClient
from common.errors import CommandError


class FakeControl:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.offered: list[str] = []
        self.commands: list[dict[str, Any]] = []
        self.mute = False

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.offered.append(connection.request.headers.get("Sec-WebSocket-Protocol", ""))
        async for message in connection:
            command = json.loads(message)
            self.commands.append(command)
            if self.mute:
                continue
            if command["command"] == "get_parameter":
                reply = {"status": "success", "parameter": command["parameter"], "value": 0.4}
                await connection.send(json.dumps(reply | {"request_id": -1}))  # a late one
                reply["request_id"] = command["request_id"]
            elif command.get("parameter") == "secret":
                reply = {"status": "error", "message": "Parameter secret is not allowed"}
            elif command["command"] == "call_method" and command["method"] == "shutdown":
                await connection.close()
                return
            else:
                reply = {"status": "success", "message": "done"}
            await connection.send(json.dumps(reply))


@pytest.fixture
async def server() -> AsyncIterator[tuple[FakeControl, str]]:
    control = FakeControl()
    async with serve(control.handle, "127.0.0.1", 0) as listening:
        yield control, f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_commands_go_out_as_stock_servers_read_them(server: tuple[FakeControl, str]) -> None:
    fake, url = server
    async with ControlClient(url, session="abc") as control:
        await control.set_parameter("silero_sensitivity", 0.1)
        assert await control.get_parameter("silero_sensitivity") == 0.4
        await control.call_method("wakeup", 1, quietly=True)
    assert fake.paths == ["/"], "a session's id stands in no URL"
    assert fake.offered == ["stt, stt.session.abc"]
    assert fake.commands == [
        {
            "command": "set_parameter",
            "parameter": "silero_sensitivity",
            "value": 0.1,
            "request_id": 1,
        },
        {"command": "get_parameter", "parameter": "silero_sensitivity", "request_id": 2},
        {
            "command": "call_method",
            "method": "wakeup",
            "args": [1],
            "kwargs": {"quietly": True},
            "request_id": 3,
        },
    ]


async def test_a_refusal_carries_the_server_s_words(server: tuple[FakeControl, str]) -> None:
    async with ControlClient(server[1]) as control:
        with pytest.raises(CommandError, match="Parameter secret is not allowed"):
            await control.set_parameter("secret", 1)
        await control.set_parameter("open", 1)


async def test_no_answer_is_a_timeout_and_the_next_command_starts_afresh(
    server: tuple[FakeControl, str],
) -> None:
    fake, url = server
    async with ControlClient(url, timeout_s=0.2) as control:
        fake.mute = True
        with pytest.raises(TimeoutError, match="did not answer set_parameter within"):
            await control.set_parameter("x", 1)
        fake.mute = False
        await control.set_parameter("x", 2)
    assert len(fake.paths) == 2


async def test_a_closed_connection_is_an_error(server: tuple[FakeControl, str]) -> None:
    async with ControlClient(server[1]) as control:
        with pytest.raises(ConnectionLostError, match="lost the control connection"):
            await control.call_method("shutdown")
