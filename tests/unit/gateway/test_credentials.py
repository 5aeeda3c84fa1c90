"""gateway.credentials: where keys, tokens and session ids are found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import Credentials, find


def headers(**values: str | Sequence[str]) -> dict[str, list[str]]:
    return {
        name.replace("_", "-").lower(): [value] if isinstance(value, str) else list(value)
        for name, value in values.items()
    }


def found(path: str = "/", **values: str | Sequence[str]) -> Credentials:
    table = headers(**values)
    return find(lambda name: table.get(name.lower(), []), path)


@pytest.mark.parametrize(
    "name, value",
    [
        ("Authorization", "Bearer K"),
        ("Authorization", "bearer  K "),
        ("Authorization", "Token K"),
        ("X_API_Key", " K"),
        ("Sec_WebSocket_Protocol", "stt, stt.key.K"),
        ("Sec_WebSocket_Protocol", ["stt.key.K", "stt"]),
        ("Sec_WebSocket_Protocol", "realtime, openai-insecure-api-key.K, openai-beta.realtime-v1"),
        ("Sec_WebSocket_Protocol", "token, K"),
    ],
)
def test_a_key_is_found_wherever_clients_can_put_one(name: str, value: str | list[str]) -> None:
    table = headers(**{name: value})
    assert find(lambda name: table.get(name.lower(), []), "/").key == "K"


@pytest.mark.parametrize(
    "name, value",
    [
        ("Authorization", "Basic K"),
        ("Authorization", "K"),
        ("Sec_WebSocket_Protocol", "token"),
        ("Sec_WebSocket_Protocol", "stt"),
        ("Cookie", "key=K"),
    ],
)
def test_and_nowhere_else(name: str, value: str) -> None:
    table = headers(**{name: value})
    assert find(lambda name: table.get(name.lower(), []), "/").key == ""


def test_a_key_in_a_url_is_none_but_a_token_is_one() -> None:
    said = found("/?key=K&api_key=K&token=T")
    assert said.key == ""
    assert said.token == "T"


def test_session_ids_come_in_a_subprotocol_and_for_older_clients_in_the_query() -> None:
    assert found(Sec_WebSocket_Protocol="stt, stt.session.abc").session == "abc"
    assert found("/?session=abc").session == "abc"
    assert found("/?session=old", Sec_WebSocket_Protocol="stt, stt.session.new").session == "new"
    assert found(Sec_WebSocket_Protocol="stt, stt.observe.abc").observe == "abc"
    assert found("/?observe=abc").observe == "abc"


def test_what_the_server_answers_with_is_never_a_secret() -> None:
    assert found(Sec_WebSocket_Protocol="stt.key.K, stt").subprotocol == "stt"
    assert found(Sec_WebSocket_Protocol="stt.key.K").subprotocol is None


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_is_sent_makes_it_fail(path: str, protocol: str, authorization: str) -> None:
    found(path, Sec_WebSocket_Protocol=protocol, Authorization=authorization)
    found("http://[" + path)
