"""gateway.bounded_connection: bounds that are met are counted, logged and in the audit log."""

from __future__ import annotations

import json
from pathlib import Path

from common.settings import GatewaySettings
from gateway.audit import AuditLog
from gateway.bounded_connection import TOLD_AT_ONCE, Connections, Knock
from gateway.budgets import AddressBudgets
from gateway.metrics import GatewayMetrics


def test_what_knocks_at_a_tls_port_has_its_place_until_it_opens_or_gives_up() -> None:
    budgets = AddressBudgets(10, GatewaySettings(address_connections=4, address_handshakes=2))
    connections = Connections(budgets, GatewayMetrics(), GatewaySettings())

    def knock() -> Knock:
        return connections.knock("192.0.2.1", "192.0.2.1:5")

    first, second = knock(), knock()
    assert (first.met, second.met, budgets.connections) == (None, None, 2)
    third = knock()
    assert third.met is not None
    assert third.met.bound == "address_handshakes"
    connections.gave_up(third)
    assert budgets.connections == 2
    connections.gave_up(first)
    assert budgets.connections == 1
    assert connections.opened_elsewhere(second) is None
    assert budgets.connections == 1, "it has shaken hands, and is there"
    assert [knock().met is None for _ in range(3)] == [True, True, False]


def test_of_those_that_are_too_many_some_are_told_so() -> None:
    settings = GatewaySettings(address_connections=1)
    connections = Connections(AddressBudgets(10, settings), GatewayMetrics(), settings)
    knocks = [connections.knock("192.0.2.1", "192.0.2.1:5") for _ in range(TOLD_AT_ONCE + 3)]
    assert [knock.goes_on for knock in knocks] == [True] * (TOLD_AT_ONCE + 1) + [False] * 2
    connections.gave_up(knocks[1])
    assert connections.knock("192.0.2.1", "192.0.2.1:5").goes_on, "one of them is gone"


def test_the_audit_log_names_the_limit_that_an_address_met(tmp_path: Path) -> None:
    audit = AuditLog(str(tmp_path / "audit"), 1 << 20, 2)
    metrics = GatewayMetrics()
    limits = GatewaySettings(address_connections=1)
    connections = Connections(AddressBudgets(10, limits), metrics, limits, audit)
    assert connections.enter_elsewhere("192.0.2.1", "192.0.2.1:5") is None
    assert connections.enter_elsewhere("192.0.2.1", "192.0.2.1:6") is not None
    audit.close()
    event = json.loads((tmp_path / "audit").read_text())
    assert (event["event"], event["limit"]) == ("limit_hit", "address_connections")
    assert event["client"] == "192.0.2.1:6"
    labels = {"bound": "address_connections"}
    assert metrics.registry.get_sample_value("stt_gateway_limits_met_total", labels) == 1
