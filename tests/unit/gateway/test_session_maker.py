"""What the settings, and a client's wishes, make of a session."""

from __future__ import annotations

import time
from typing import Any

import pytest

from common.api_keys import ApiKey, line_of, new_key, read_keys
from common.envelope import Code, Verdict
from common.settings import GatewaySettings
from gateway.rejection import RejectionPolicy
from gateway.retention import RetentionLedger
from gateway.session import Session
from gateway.session_maker import SessionMaker, Wishes

PEER, ADDRESS = "192.0.2.1:5000", "192.0.2.1"


def maker(*, signs: bool = True, **changes: Any) -> SessionMaker:
    settings = GatewaySettings(reject_corrupted_data=True, corruption_threshold=1, **changes)
    ledger: RetentionLedger[bytes] = RetentionLedger(1 << 20, 1 << 20)
    return SessionMaker(settings, RejectionPolicy.of(settings), ledger, signs=signs)


def key(name: str) -> ApiKey:
    text = new_key()
    found = read_keys(line_of(name, text), "keys").find(text)
    assert found is not None
    return found


def corrupt(session: Session) -> bool:
    """A corrupt frame comes; whether the client is rejected."""
    seq = session.window.accept(b"message" * 40, 0.0, 0)
    session.window.sent(seq, 0.0)
    session.judge(Verdict(session.id, seq, Code.CORRUPT, 100, 100, 1, 2, 16_000), time.monotonic())
    return session.is_rejected()


@pytest.mark.parametrize(
    "wishes, receipt, resend",
    [
        (Wishes(), False, False),
        (Wishes(receipt=True, resend_from=0), False, False),
        (Wishes(events=True, receipt=True), True, False),
        (Wishes(events=True, resend_from=7), False, True),
    ],
)
def test_who_does_not_ask_for_events_gets_nothing_beside(
    wishes: Wishes, receipt: bool, resend: bool
) -> None:
    session = maker().make(PEER, ADDRESS, None, wishes)
    assert session.wants_receipt is receipt
    assert (session.healing is not None) is resend


def test_a_server_without_a_key_or_requests_promises_neither() -> None:
    session = maker(signs=False, resend_attempts=0).make(
        PEER, ADDRESS, None, Wishes(events=True, receipt=True, resend_from=0)
    )
    assert not session.wants_receipt
    assert session.healing is None


def test_by_default_each_connection_begins_at_zero() -> None:
    made = maker()
    for _ in range(3):
        session = made.make(PEER, ADDRESS, key("ward"), Wishes())
        assert session.failures == 0
        assert not corrupt(session)
        assert corrupt(session)


def test_with_count_by_key_a_connection_begins_with_the_failures_of_its_key() -> None:
    made = maker(count_by="key", api_keys="keys")
    ward, desk = key("ward"), key("desk")
    assert not corrupt(made.make(PEER, ADDRESS, ward, Wishes()))
    back = made.make("198.51.100.9:1", "198.51.100.9", ward, Wishes())
    assert (back.failures, back.corrupt_frames) == (1, 0)
    assert not back.is_rejected(), "a count alone refuses nobody"
    assert back.failures_before_replay == 1, "its recorder counts on from there"
    assert corrupt(back)
    assert back.failures == 2
    assert not corrupt(made.make(PEER, ADDRESS, desk, Wishes()))


def test_of_connections_at_once_each_failure_counts_for_both() -> None:
    made = maker(count_by="address")
    one, other = (made.make(PEER, ADDRESS, None, Wishes()) for _ in range(2))
    assert not corrupt(one)
    assert not other.is_rejected()
    assert corrupt(other)
    assert not one.is_rejected(), "another's failure rejects nobody"
