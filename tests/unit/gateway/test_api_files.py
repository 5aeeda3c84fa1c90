"""gateway.api_files: bodies that do not come to their end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from common.settings import GatewaySettings
from gateway import api_files
from gateway.access import Admission
from gateway.api_door import ADMISSION
from gateway.api_port import ApiPort
from gateway.bounded_connection import Connections
from gateway.budgets import AddressBudgets
from gateway.credentials import Credentials
from gateway.metrics import GatewayMetrics

FORM = b"multipart/form-data; boundary=x"
PATHS = ["/v1/audio/transcriptions", "/v1/listen"]


async def answered(path: str, *messages: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of the answer to a request of which these messages come, and no others."""
    settings = GatewaySettings()
    connections = Connections(AddressBudgets(10, settings), GatewayMetrics(), settings)
    reception: Any = None  # nobody comes as far as to a session
    port = ApiPort(settings, GatewayMetrics(), reception, connections, str)
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 5),
        ADMISSION: Admission(None, Credentials()),
    }
    scope["headers"] = [(b"content-type", FORM)]
    coming, sent = list(messages), list[dict[str, Any]]()

    async def receive() -> Any:
        if coming:
            return coming.pop(0)
        return await asyncio.get_running_loop().create_future()  # never

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(30):
        await port.app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


PART = {"type": "http.request", "body": b"--x\r\n", "more_body": True}


@pytest.mark.parametrize("path", PATHS)
async def test_who_does_not_go_on_is_told_and_gives_back_the_place(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(api_files, "PIECE_S", 0.05)
    status, body = await answered(path, PART)
    assert status == 408
    assert "no more of the body came for 0.05 s" in json.dumps(json.loads(body))


@pytest.mark.parametrize("path", PATHS)
async def test_who_goes_away_is_no_fault_of_the_servers(path: str) -> None:
    """An exception that leaves the application would be logged with all that led to it."""
    status, _ = await answered(path, PART, {"type": "http.disconnect"})
    assert status == 400
