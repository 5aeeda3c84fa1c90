"""RealtimeSTT's control protocol by its golden transcript.

``> JSON`` is a message of the client, ``! Command {…}`` what it asks for, ``* done``, ``* value …``
and ``* failed TEXT`` what came of it, ``< JSON`` the reply.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.realtimestt_control import (
    NO_SUCH_SESSION,
    Asked,
    GetParameter,
    asked,
    read_command,
    refusal,
)
from tests.unit.gateway.transcript import assert_retold


def teller() -> Callable[[str, str], list[str] | None]:
    last = Asked(None)

    def answer(sign: str, rest: str) -> list[str] | None:
        nonlocal last
        match sign, rest.partition(" "):
            case ">", _:
                last = asked(rest)
                if last.command is None:
                    return [f"< {last.failed(last.fault)}"]
                fields = json.dumps(last.command._asdict())
                return [f"! {type(last.command).__name__} {fields}"]
            case "*", ("done", _, _):
                assert last.command is not None
                assert not isinstance(last.command, GetParameter)
                return [f"< {last.reply(last.command.done)}"]
            case "*", ("value", _, value):
                assert isinstance(last.command, GetParameter)
                return [f"< {last.reply(last.command.answer(json.loads(value)))}"]
            case "*", ("failed", _, reason):
                return [f"< {last.failed(reason)}"]
        return None

    return answer


def test_golden() -> None:
    assert_retold("realtimestt_control", teller())


def test_a_command_is_named_without_its_values() -> None:
    said = {"command": "set_parameter", "parameter": "language", "value": "secret", "method": 3}
    assert asked(json.dumps(said)).named == "set_parameter language"
    assert asked('{"command":"a\\nb"}').named == "a\\nb"
    assert len(asked(json.dumps({"command": "x" * 500})).named) == 80
    assert asked("[]").named == ""


def test_a_binary_message_is_no_command() -> None:
    request = asked(b'{"command":"get_parameter","parameter":"language"}')
    assert request.command is None
    assert json.loads(request.failed(request.fault)) == {
        "status": "error",
        "message": "Received unknown message type on control connection",
    }


def test_what_the_server_says_of_its_own_accord_is_a_reply_too() -> None:
    assert json.loads(refusal(NO_SUCH_SESSION)) == {"status": "error", "message": NO_SUCH_SESSION}


@given(st.integers() | st.text() | st.booleans() | st.none() | st.lists(st.integers()))
def test_an_id_comes_back_as_it_was_given_if_it_is_one(given_id: object) -> None:
    fields = {"command": "get_parameter", "parameter": "language", "request_id": given_id}
    reply = json.loads(asked(json.dumps(fields)).failed("because"))
    wanted = {} if given_id is None or isinstance(given_id, list) else {"request_id": given_id}
    assert reply == {"status": "error", "message": "because"} | wanted


@pytest.mark.parametrize(
    "text",
    [
        r'{"command":"\ud800"}',
        r'{"command":"get_parameter","request_id":"\udfff"}',
        "[]",
        "{",
        '{"a":' * 20_000,
        '{"command":' + "9" * 5_000 + "}",
    ],
)
def test_what_no_reply_could_name_is_no_command(text: str) -> None:
    assert read_command(text) is None


def test_a_character_of_two_halves_is_one() -> None:
    assert read_command(r'{"command":"\ud83d\ude00"}') == {"command": "\U0001f600"}
