"""What the API port's server bounds, without the rest of the system."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from common.limit_settings import LimitSettings
from gateway import api_server
from gateway.api_server import listening_socket, make_server
from gateway.bounded_connection import Connections
from gateway.budgets import AddressBudgets
from gateway.metrics import GatewayMetrics
from gateway.small_chunks import SMALL_BYTES
from tests.faults.crowd import until
from tests.processes import free_port

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts WebSockets and reads them to their end; reads requests, and answers them."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        length = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"done"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


@pytest.fixture
def connections() -> Connections:
    limits = LimitSettings(address_connections=3)
    return Connections(AddressBudgets(4, limits), GatewayMetrics(), limits)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch, connections: Connections) -> AsyncIterator[int]:
    monkeypatch.setattr(api_server, "REQUEST_S", 0.2)
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "filters", [])  # of other servers
    port = free_port()
    server = make_server(app, connections, max_message_bytes=1 << 20, tls=None)
    serving = asyncio.create_task(server.serve([listening_socket("127.0.0.1", port)]))
    yield port
    server.should_exit = True
    await serving


async def test_a_connection_that_asks_for_nothing_is_closed(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTT")
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_a_second_request_that_does_not_come_whole_is_not_awaited_either(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"done")
    writer.write(b"GET / HTT")
    async with asyncio.timeout(4):  # less than the server keeps a connection that is idle
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("size, is_taken", [(1, False), (SMALL_BYTES, True)])
async def test_a_body_of_crumbs_is_refused_before_it_holds_up_others(
    port: int, size: int, is_taken: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write((b"%x\r\n" % size + bytes(size) + b"\r\n") * 4_000 + b"0\r\n\r\n")
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b"done" if is_taken else b" a second\n")
    assert answer.startswith(b"HTTP/1.1 200" if is_taken else b"HTTP/1.1 400")
    assert is_taken or b"200 chunks of under 512 bytes" in answer
    writer.close()


async def test_a_flood_of_pings_cuts_the_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(HANDSHAKE)
    ping = b"\x89\xfd" + bytes(4) + os.urandom(125)

    async def flood() -> None:
        for _ in range(100_000):
            writer.write(ping * 500)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(flood(), 60)
    writer.transport.abort()
    assert reader is not None


async def test_a_connection_that_did_ask_may_stay_idle(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):  # five times as long as a first request may take
            await reader.read()
    writer.close()


async def test_an_address_has_only_so_many_connections_websockets_included(port: int) -> None:
    kept = []
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        kept.append(writer)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"this address has its 3 connections" in answer
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.read(12)) == b"HTTP/1.1 200", "another address has room"
    writer.transport.abort()
    kept.pop().transport.abort()
    async with asyncio.timeout(20):
        while True:  # until the server has seen that it is gone
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HANDSHAKE)
            if (await reader.read(12)) == b"HTTP/1.1 101":
                break
    for open_one in (*kept, writer):
        open_one.transport.abort()


async def test_half_messages_count_for_the_bound_of_memory(
    port: int, connections: Connections
) -> None:
    """Of frames and of fragments; who holds most is cut, and told."""
    ends = []
    for part in (
        b"\x82\xff" + (1 << 19).to_bytes(8) + bytes(4 + 300_000),
        b"\x02\xfe\xff\xff" + bytes(4 + 65_535),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(part)
        ends.append((reader, writer))
    await until(lambda: connections.sweep(1 << 30) == 300_000 + 65_535, "all has arrived")
    assert connections.sweep(100_000) == 65_535
    async with asyncio.timeout(30):
        assert b"more is waiting for this client" in await ends[0][0].read()
    assert connections.sweep(100_000) == 65_535
    for _, writer in ends:
        writer.transport.abort()
    await until(lambda: connections.sweep(0) == 0, "they are gone")


async def test_what_clients_have_it_log_is_bounded(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(40):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if number % 2:
            writer.write(HANDSHAKE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\x81\x81\0\0\0\0\xff")
        else:
            writer.write(b"no request\r\n\r\n")
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
    lines = [record for record in caplog.records if record.name == "uvicorn.error"]
    assert 0 < len(lines) < 30
    assert not any(record.exc_info for record in lines)
