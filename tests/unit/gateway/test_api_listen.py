"""gateway.api_listen: Wyoming, which knows neither keys nor TLS, opens beside neither."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from wyoming.client import AsyncTcpClient

from common.api_keys import line_of, new_key
from common.errors import SettingsError
from common.settings import GatewaySettings
from common.tls import make_certificate
from gateway.api_listen import serve_wyoming
from gateway.audit import AuditLog
from gateway.bounded_connection import Connections
from gateway.budgets import AddressBudgets
from gateway.gatekeeper import Gatekeeper
from gateway.metrics import GatewayMetrics
from tests.processes import free_port


def options(folder: Path, what: str) -> dict[str, str]:
    if what == "--tls-cert":
        certificate, key = make_certificate(folder / "tls", ["localhost"])
        return {"tls_cert": str(certificate), "tls_key": str(key)}
    path = folder / "keys"
    path.write_text(line_of("alice", new_key()))
    path.chmod(0o600)
    return {"api_keys": str(path)}


@pytest.mark.parametrize("what", ["--api-keys", "--tls-cert"])
async def test_the_wyoming_port_refuses_to_open(tmp_path: Path, what: str) -> None:
    given: dict[str, Any] = options(tmp_path, what)
    settings = GatewaySettings(run_dir=str(tmp_path), wyoming_port=10_300, **given)
    metrics = GatewayMetrics()
    gatekeeper = Gatekeeper(settings, metrics, AuditLog("", 0, 0))
    nothing: Any = None
    with pytest.raises(SettingsError, match=f"--wyoming-port does not go with .*{what}"):
        async with serve_wyoming(settings, metrics, nothing, str, gatekeeper, nothing):
            pass


async def test_who_meets_a_bound_at_the_wyoming_port_is_told_so(tmp_path: Path) -> None:
    port = free_port()
    settings = GatewaySettings(run_dir=str(tmp_path), wyoming_port=port, address_connections=1)
    metrics, reception = GatewayMetrics(), cast(Any, None)  # nobody gets as far as to a session
    gatekeeper = Gatekeeper(settings, metrics, AuditLog("", 0, 0))
    connections = Connections(AddressBudgets(10, settings), metrics, settings)
    serving = serve_wyoming(settings, metrics, reception, str, gatekeeper, connections)
    first, too_many = (AsyncTcpClient("127.0.0.1", port) for _ in range(2))
    async with serving, first, too_many, asyncio.timeout(30):
        event = await too_many.read_event()
        assert event is not None
        assert "has its 1 connections" in event.data["text"]
        assert await too_many.read_event() is None
