"""Over real connections to a real server of websockets."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gateway.any_method import AnyMethodConnection, answer, not_allowed


def page(connection: ServerConnection, request: Request) -> Response | None:
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return None
    assert isinstance(connection, AnyMethodConnection)
    if connection.method not in ("GET", "HEAD"):
        return not_allowed()
    found = Response(200, "OK", Headers({"Content-Length": "5", "Content-Type": "x/y"}), b"hello")
    return answer(connection.method, found)


async def echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


async def asked(request: str) -> tuple[str, str]:
    """Head and body of the answer."""
    async with serve(echo, "127.0.0.1", 0, process_request=page,
                     create_connection=AnyMethodConnection) as server:  # fmt: skip
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        got = (await asyncio.wait_for(reader.read(), 5)).decode()
        writer.close()
    head, _, body = got.partition("\r\n\r\n")
    return head, body


async def test_get_is_answered_with_the_page() -> None:
    head, body = await asked("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert body == "hello"


async def test_head_is_answered_as_get_is_without_the_body() -> None:
    head, body = await asked("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert "Content-Length: 5" in head
    assert body == ""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_by_name(method: str) -> None:
    head, body = await asked(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith("HTTP/1.1 405 Method Not Allowed")
    assert "Allow: GET, HEAD" in head
    assert "Only GET and HEAD" in body


@pytest.mark.parametrize(
    "head, body",
    [
        ("Content-Length: 7", '{"a":1}'),
        ("content-length : 70000", "x" * 70_000),
        ("Transfer-Encoding: chunked", "7\r\n{}     \r\n0\r\n\r\n"),
    ],
)
async def test_a_request_with_a_body_is_answered_like_one_without(head: str, body: str) -> None:
    answer, _ = await asked(f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{body}")
    assert answer.startswith("HTTP/1.1 405 Method Not Allowed")


async def test_what_is_no_request_ends_the_connection() -> None:
    head, _ = await asked("\x16\x03\x01 not http\r\n\r\n")
    assert head == "" or "400" in head


async def test_websockets_work_as_before() -> None:
    async with serve(echo, "127.0.0.1", 0, process_request=page,
                     create_connection=AnyMethodConnection) as server:  # fmt: skip
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/") as client:
            await client.send(b"PING me")
            assert await client.recv() == b"PING me"
