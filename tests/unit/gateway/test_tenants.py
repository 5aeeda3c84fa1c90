"""Sessions by key: what a key may begin, take up, command, and how they end with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from common.api_keys import ApiKey, Quota
from common.errors import BusyError, CloseCode
from common.settings import GatewaySettings
from gateway.audit import AuditLog
from gateway.clients import Clients
from gateway.hub import Hub
from gateway.metrics import GatewayMetrics
from gateway.pairing import Origin
from gateway.reception import Reception
from gateway.retention import RetentionLedger
from gateway.tenants import REVOKED, Tenants
from tests.unit.gateway.fake_client import FakeClient
from tests.unit.gateway.test_clients import FakeLine
from tests.unit.gateway.test_reception import FakeHub

ALICE = ApiKey("alice", bytes(32), Quota(sessions=1, audio_s=60.0))
BOB = ApiKey("bob", bytes(32))


class Place:
    """A reception with an audit log."""

    def __init__(self, folder: Path) -> None:
        self.audit = AuditLog(str(folder / "audit"), 1 << 20, 2)
        self._path = folder / "audit"
        self.clients = Clients()
        ledger: RetentionLedger[bytes] = RetentionLedger(1 << 20, 1 << 20)
        self.tenants = Tenants(self.audit, lambda: 1_000.0)
        self.metrics = GatewayMetrics()
        self.reception = Reception(
            GatewaySettings(),
            self.metrics,
            cast(Hub, FakeHub()),
            self.clients,
            ledger,
            self.tenants,
        )

    def events(self) -> list[dict[str, Any]]:
        self.audit.close()
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_key_has_its_quota_of_sessions_and_gets_it_back(place: Place) -> None:
    first = FakeClient()
    stream = place.reception.begin(first, key=ALICE)
    with pytest.raises(BusyError, match="1 sessions already"):
        place.reception.begin(FakeClient(), key=ALICE)
    busy = place.metrics.registry.get_sample_value
    assert busy("stt_gateway_busy_rejections_total", {"why": "quota"}) == 1
    place.reception.begin(FakeClient(), key=BOB)
    stream.leave(may_return=False)
    place.reception.begin(FakeClient(), key=ALICE)
    kinds = [event["event"] for event in place.events()]
    assert kinds == [
        "session_begun",
        "limit_hit",
        "session_begun",
        "session_ended",
        "session_begun",
    ]


def test_a_session_is_taken_up_by_its_own_key_only(place: Place) -> None:
    stream = place.reception.begin(FakeClient(), wants_events=True, key=BOB)
    stream.leave(may_return=True)
    for key in (ALICE, None):
        assert place.reception.resume(FakeClient(), stream.session.key, 0, key=key) is None
    assert place.reception.resume(FakeClient(), stream.session.key, 0, key=BOB) is not None


def test_and_commanded_by_its_own_key_only(place: Place) -> None:
    stream = place.reception.begin(FakeClient(), key=BOB)
    for name in ("", "alice"):
        assert place.clients.add_named_line(FakeLine(name), stream.session.key) is None
    assert place.clients.add_named_line(FakeLine("bob"), stream.session.key) is stream.session


def test_nothing_is_guessed_across_keys(place: Place) -> None:
    client = FakeClient()
    place.reception.begin(client, key=BOB)
    assert place.clients.add_line(FakeLine("alice"), 1.0, Origin(client.address)) is None


def test_with_its_key_a_session_ends_and_its_client_is_told_why(place: Place) -> None:
    alice, bob = FakeClient(), FakeClient()
    place.reception.begin(alice, key=ALICE)
    stays = place.reception.begin(bob, key=BOB)
    assert place.reception.end_revoked(lambda key: key is None or key.name != "alice") == 1
    assert alice.ended == (CloseCode.POLICY_VIOLATION, REVOKED)
    assert bob.ended is None
    assert [attachment.session for attachment in place.clients] == [stays.session]


def test_audio_is_accounted_once_and_ends_when_the_hours_are_used_up(place: Place) -> None:
    stream = place.reception.begin(FakeClient(), key=ALICE)
    stream.session._counts.seconds = 59.0
    assert stream.spent().refused == ""
    assert stream.spent().refused == "", "nothing new was heard"
    stream.session._counts.seconds = 60.0
    assert "used its" in stream.spent().refused


def test_what_is_judged_after_the_last_frame_is_accounted_too(place: Place) -> None:
    """Else a key would have no end of hours, one frame a session."""
    for _ in range(3):
        stream = place.reception.begin(FakeClient(), key=ALICE)
        stream.session._counts.seconds = 20.0
        stream.leave(may_return=False)
    with pytest.raises(BusyError, match="used its"):
        place.reception.begin(FakeClient(), key=ALICE)


def test_the_audit_log_names_the_limits_that_were_met(place: Place) -> None:
    place.reception.begin(FakeClient(), key=ALICE)
    with pytest.raises(BusyError):
        place.reception.begin(FakeClient(), key=ALICE)
    place.reception.drain()
    with pytest.raises(BusyError):
        place.reception.begin(FakeClient(), key=BOB)
    hits = [event for event in place.events() if event["event"] == "limit_hit"]
    assert [(hit["limit"], hit["key"]) for hit in hits] == [("quota", "alice"), ("stopping", "")]


def test_the_audit_log_has_counts_and_no_session_id(place: Place) -> None:
    stream = place.reception.begin(FakeClient(), key=ALICE)
    stream.session.rejected = "Connection rejected: Checksum mismatch"
    stream.leave(may_return=False)
    events = place.events()
    assert [event["event"] for event in events] == ["session_begun", "rejection", "session_ended"]
    assert {event["key"] for event in events} == {"alice"}
    assert events[-1]["frames"] == 0
    assert stream.session.key not in json.dumps(events)
