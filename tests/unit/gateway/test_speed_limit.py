"""Who is held back while others speak, and what is said to whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.envelope import OnCorruption
from common.events import HeldBack
from gateway.audit import AuditLog
from gateway.clients import Attachment, Clients
from gateway.integrity_log import IntegrityLog
from gateway.metrics import GatewayMetrics
from gateway.rejection import RejectionPolicy
from gateway.session import Session, SessionLimits
from gateway.speed_limit import SPEAKING_S, SpeedLimit
from tests.unit.gateway.fake_client import FakeClient

POLICY = RejectionPolicy(True, False, 0, OnCorruption.FORWARD)


class World:
    """Two sessions, of which the first is far ahead of real time."""

    def __init__(self, *, wants_events: bool = True, audit: AuditLog | None = None) -> None:
        self.clients = Clients()
        self.metrics = GatewayMetrics()
        self.limit = SpeedLimit(4.0, self.metrics, self.clients, audit)
        self.client = FakeClient()
        self.fast, self.other = (self._session(self.client, wants_events) for _ in range(2))
        self.fast.pace.took(600.0, 0.0)

    def _session(self, client: FakeClient, wants_events: bool) -> Session:
        limits = SessionLimits(64, 4 << 20, 0.25, 4.0, 4.0)
        session = Session(peer=client.peer, wants_events=wants_events, policy=POLICY, limits=limits)
        log = IntegrityLog(client.peer, POLICY, extended=False, summary_s=10)
        self.clients.add(Attachment(session, log, client), 0.0)
        return session

    @property
    def times(self) -> float | None:
        return self.metrics.registry.get_sample_value(
            "stt_gateway_limits_met_total", {"bound": "speed"}
        )


def test_who_is_far_ahead_is_held_back_and_told() -> None:
    world = World()
    world.limit.hold_back(1.0)
    assert (world.fast.pace.held_back, world.other.pace.held_back) == (True, False)
    text = "while others speak, audio is taken at 4 times real time"
    assert world.client.events == [HeldBack(4.0, text)]
    world.limit.hold_back(1.1)
    assert world.times == 1


def test_the_audit_log_tells_of_it_once(tmp_path: Path) -> None:
    audit = AuditLog(str(tmp_path / "audit"), 1 << 20, 2)
    world = World(audit=audit)
    for now_s in (1.0, 1.1, 300.0, 300.1):
        world.limit.hold_back(now_s)
    audit.close()
    event = json.loads((tmp_path / "audit").read_text())
    assert (event["event"], event["limit"]) == ("limit_hit", "speed")
    assert event["client"] == world.client.peer


def test_who_speaks_alone_goes_on_as_fast_as_it_likes() -> None:
    world = World()
    world.limit.hold_back(1.0)
    world.fast.active_s = 1.0 + SPEAKING_S
    world.limit.hold_back(1.0 + SPEAKING_S)
    assert not world.fast.pace.held_back
    assert world.client.looked == 1, "it may wait"


@pytest.mark.parametrize("wants_events", [False])
def test_a_stock_client_hears_nothing_that_it_does_not_know(wants_events: bool) -> None:
    world = World(wants_events=wants_events)
    world.limit.hold_back(1.0)
    assert world.fast.pace.held_back
    assert world.client.events == []
