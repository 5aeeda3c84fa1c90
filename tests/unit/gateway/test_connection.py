"""How a data connection is closed."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from common.errors import CloseCode
from gateway.connection import Connection, close_reason
from gateway.metrics import GatewayMetrics


@pytest.mark.parametrize("text", ["", "a" * 200, "é" * 200, "€" * 41 + "é", "\ud800" * 200])
def test_a_reason_fits_into_a_close_frame(text: str) -> None:
    reason = close_reason(text)
    assert len(reason.encode()) <= 123
    assert reason.startswith(text[:41]) or "\ud800" in text


def test_a_reason_that_quotes_its_client_closes_with_its_code() -> None:
    async def handle(websocket: ServerConnection) -> None:
        connection = Connection(websocket, queue_limit=8, metrics=GatewayMetrics())
        connection.end(CloseCode.POLICY_VIOLATION, "Checksum mismatch: expected " + "é" * 90)
        await connection.finished()

    async def close_code() -> int | None:
        async with serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                await websocket.wait_closed()
                return websocket.close_code

    assert asyncio.run(close_code()) == CloseCode.POLICY_VIOLATION
