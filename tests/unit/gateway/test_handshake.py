"""What a request is, before it is answered."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway.handshake import asks_for_websocket, is_readable


def request(*headers: tuple[str, str]) -> Request:
    return Request("/", Headers([("Host", "localhost"), *headers]))


@pytest.mark.parametrize("value", ["websocket", "WebSocket"])
def test_one_upgrade_header_begins_a_websocket(value: str) -> None:
    assert asks_for_websocket(request(("Upgrade", value)))


@pytest.mark.parametrize("values", [[], ["h2c"], ["websocket", "h2c"], ["websocket", "websocket"]])
def test_none_and_several_do_not(values: list[str]) -> None:
    assert not asks_for_websocket(request(*(("Upgrade", value) for value in values)))


def test_headers_are_ascii() -> None:
    assert is_readable(request(("Origin", "http://localhost")))
    assert not is_readable(request(("Sec-WebSocket-Version", "\udc8d")))
