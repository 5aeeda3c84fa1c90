"""Control commands, answered without a network by a stand-in for the transcriber."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import envelope
from common.errors import CommandError
from common.limit_settings import LimitSettings
from common.parameters import METHODS, READ_ONLY, WRITABLE
from gateway import control_port
from gateway.clients import Clients
from gateway.control_line import NO_SESSION, ControlLine
from gateway.control_port import ControlPort
from gateway.local_peer import LocalPeers
from gateway.metrics import GatewayMetrics
from gateway.placement import Placement
from gateway.reception import Reception
from gateway.session import Session

SESSION = b"s" * 16


class Channel:
    """A command link whose far end answers at once, if it lives."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refusal = ""
        self.failures = 0

    async def request(
        self, make: Callable[[int], envelope.Message], timeout_s: float
    ) -> envelope.Reply:
        message = envelope.unpack(envelope.pack(make(1)))
        self.asked.append(message)
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise CommandError("the transcriber is gone")
        return envelope.Reply(1, not self.refusal, 0.5, self.refusal)


class World:
    """A control port, one control line, and a session that may have a recorder."""

    def __init__(self, *, has_session: bool = True, has_recorder: bool = True) -> None:
        self.channel = Channel()
        self.has_recorder = has_recorder
        self.ended = 0
        self.session = cast(Session, SimpleNamespace(id=SESSION, parameters={}))
        placement = SimpleNamespace(
            channel_of=lambda _: self.channel if self.has_recorder else None, wake=lambda _: None
        )
        self.port = ControlPort(
            LimitSettings(),
            GatewayMetrics(),
            cast(Placement, placement),
            cast(Reception, self),
            Clients(),
            LocalPeers(),
        )
        self.line = ControlLine()
        if has_session:
            self.line.attach(self.session)

    def shut_down(self, session: Session) -> None:
        assert session is self.session
        self.ended += 1

    async def answer(self, message: str | bytes) -> dict[str, Any]:
        text, fault = await self.port._answer(self.line, message)
        reply: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
        assert reply["status"] == ("error" if fault else "success")
        return reply

    async def ask(self, command: str, **fields: object) -> dict[str, Any]:
        return await self.answer(json.dumps({"command": command, **fields}))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_port, "PATIENCE_S", 0.05)
    monkeypatch.setattr(control_port, "REPLY_WAIT_S", 0.01)


async def test_a_parameter_is_set_where_the_recorder_is_and_kept_for_the_next_one() -> None:
    world = World()
    reply = await world.ask("set_parameter", parameter="silero_sensitivity", value=1)
    assert reply == {
        "status": "success",
        "message": "Parameter silero_sensitivity set to 1",
    }
    assert world.channel.asked == [envelope.SetParameter(1, SESSION, "silero_sensitivity", 1.0)]
    assert world.session.parameters == {"silero_sensitivity": 1.0}


async def test_what_is_set_before_there_is_a_session_becomes_its_parameters() -> None:
    world = World(has_session=False)
    reply = await world.ask("set_parameter", parameter="language", value="de", request_id=3)
    assert reply == {
        "status": "success",
        "message": "Parameter language set to de",
        "request_id": 3,
    }
    world.line.attach(world.session)
    assert world.session.parameters == {"language": "de"}


async def test_what_is_set_while_there_is_no_recorder_is_kept_for_it() -> None:
    world = World(has_recorder=False)
    assert (await world.ask("set_parameter", parameter="language", value="de"))["status"]
    assert world.session.parameters == {"language": "de"}
    reply = await world.ask("get_parameter", parameter="language")
    assert reply["value"] == "de"


async def test_what_the_recorder_refuses_is_not_kept() -> None:
    world = World()
    await world.ask("set_parameter", parameter="use_wake_words", value=False)
    world.channel.refusal = "the server runs without wake words"
    reply = await world.ask("set_parameter", parameter="use_wake_words", value=True)
    assert reply == {"status": "error", "message": "the server runs without wake words"}
    assert world.session.parameters == {"use_wake_words": False}


async def test_a_state_of_the_recorder_is_not_kept() -> None:
    world = World()
    await world.ask("set_parameter", parameter="listen_start", value=0)
    assert len(world.channel.asked) == 1
    assert world.session.parameters == {}


async def test_a_question_is_asked_again_when_the_transcriber_died_over_it() -> None:
    world = World()
    world.channel.failures = 1
    reply = await world.ask("get_parameter", parameter="is_recording", request_id="x")
    assert reply == {
        "status": "success",
        "parameter": "is_recording",
        "value": 0.5,
        "request_id": "x",
    }


async def test_a_call_is_not_repeated() -> None:
    world = World()
    world.channel.failures = 1
    reply = await world.ask("call_method", method="abort")
    assert reply["status"] == "error"
    assert len(world.channel.asked) == 1


async def test_a_call_waits_for_the_recorder() -> None:
    world = World(has_session=False, has_recorder=False)
    call = asyncio.create_task(world.ask("call_method", method="abort"))
    await asyncio.sleep(0)
    world.line.attach(world.session)
    await asyncio.sleep(0)
    world.has_recorder = True
    world.line.wake()
    assert await call == {"status": "success", "message": "Method abort called"}


async def test_without_a_session_the_answer_is_an_error_in_time() -> None:
    world = World(has_session=False)
    reply = await world.ask("get_parameter", parameter="language", request_id=1)
    assert reply == {
        "status": "error",
        "message": NO_SESSION,
        "request_id": 1,
    }


async def test_after_its_session_nothing_can_be_set() -> None:
    world = World()
    world.line.detach()
    for command in ("set_parameter", "get_parameter"):
        reply = await world.ask(command, parameter="language", value="de")
        assert reply == {"status": "error", "message": "the session has ended"}


async def test_shutdown_ends_the_session_and_asks_no_recorder() -> None:
    world = World(has_recorder=False)
    assert (await world.ask("call_method", method="shutdown"))["status"] == "success"
    assert world.ended == 1


WORDS = st.sampled_from(
    [
        "command",
        "set_parameter",
        "get_parameter",
        "call_method",
        "parameter",
        "value",
        "method",
        "args",
        "kwargs",
        "request_id",
        *WRITABLE,
        *READ_ONLY,
        *METHODS,
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=12,
)


@settings(deadline=None)  # machines may be busy
@given(
    JSON
    | st.fixed_dictionaries(
        {"command": WORDS},
        optional={
            "parameter": WORDS | JSON,
            "value": JSON,
            "method": WORDS | JSON,
            "args": JSON,
            "kwargs": JSON,
            "request_id": JSON,
        },
    )
)
def test_every_message_gets_one_reply_that_is_json(message: object) -> None:
    text = json.dumps(message)
    asyncio.run(World().answer(text))
    asyncio.run(World(has_session=False).answer(text[: len(text) // 2]))


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\xff",
        "[" * 30_000,
        '{"a":' * 10_000,
        "9" * 60_000,
        '{"command": "set_parameter", "parameter": "silero_sensitivity", "value": 1e999}',
        '{"command": "set_parameter", "parameter": "language", "value": "\\ud800"}',
        '{"command": "\\ud800"}',
        '{"command": "get_parameter", "parameter": "language", "request_id": "\\udfff"}',
        '{"command": "get_parameter", "parameter": "language", "request_id": NaN}',
        '{"command": "call_method", "method": "stop", "args": [18446744073709551616]}',
        '{"command": "call_method", "method": "stop", "args": ' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=lambda message: str(message[:24]),
)
async def test_hostile_messages_get_a_reply(message: str | bytes) -> None:
    reply = await World().answer(message)
    assert len(json.dumps(reply)) < 500
