"""gateway.bounded_connection: bounds that are met are counted, logged and in the audit log."""

from __future__ import annotations

import json
from pathlib import Path

from common.settings import GatewaySettings
from gateway.audit import AuditLog
from gateway.bounded_connection import Connections
from gateway.budgets import AddressBudgets
from gateway.metrics import GatewayMetrics


def test_the_audit_log_names_the_limit_that_an_address_met(tmp_path: Path) -> None:
    audit = AuditLog(str(tmp_path / "audit"), 1 << 20, 2)
    metrics = GatewayMetrics()
    limits = GatewaySettings(address_connections=1)
    connections = Connections(AddressBudgets(10, limits), metrics, limits, audit)
    assert connections.enter_elsewhere("192.0.2.1", "192.0.2.1:5")
    assert not connections.enter_elsewhere("192.0.2.1", "192.0.2.1:6")
    audit.close()
    event = json.loads((tmp_path / "audit").read_text())
    assert (event["event"], event["limit"]) == ("limit_hit", "address_connections")
    assert event["client"] == "192.0.2.1:6"
    labels = {"bound": "address_connections"}
    assert metrics.registry.get_sample_value("stt_gateway_limits_met_total", labels) == 1
