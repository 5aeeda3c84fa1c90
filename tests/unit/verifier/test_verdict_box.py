from __future__ import annotations

import pytest

from common.envelope import Code, Verdict
from verifier.verdict_box import VerdictBox


def verdict(seq: int) -> Verdict:
    return Verdict(bytes(16), seq, Code.OK, 1, 1, 0, 0)


def taken(box: VerdictBox, now_s: float = 0.0) -> dict[bytes, list[int]]:
    return {topic: [v.seq for v in verdicts] for topic, verdicts in box.take(now_s)}


@pytest.fixture
def box() -> VerdictBox:
    return VerdictBox(hold_s=1.0, limit=10)


def test_one_parcel_a_gateway_and_turn_in_order(box: VerdictBox) -> None:
    box.notice(b"\x01gw-1")
    box.notice(b"\x01gw-2")
    for seq in range(3):
        box.put("gw-1", verdict(seq))
        box.put("gw-2", verdict(10 + seq))
    assert taken(box) == {b"gw-1": [0, 1, 2], b"gw-2": [10, 11, 12]}
    assert taken(box) == {}


def test_a_subscription_matches_as_a_prefix(box: VerdictBox) -> None:
    box.notice(b"\x01")
    box.put("any gateway", verdict(0))
    assert taken(box) == {b"any gateway": [0]}


def test_verdicts_without_a_subscriber_wait_for_one(box: VerdictBox) -> None:
    box.put("gw", verdict(0))
    assert taken(box, 5.0) == {}
    assert box.next_expiry_s() == 6.0
    box.put("gw", verdict(1))
    assert taken(box, 5.9) == {}
    box.notice(b"\x01gw")
    assert taken(box, 5.95) == {b"gw": [0, 1]}
    assert box.next_expiry_s() is None
    assert box.dropped == 0


def test_verdicts_that_waited_too_long_are_dropped_and_counted(box: VerdictBox) -> None:
    box.put("gw", verdict(0))
    taken(box, 5.0)
    box.put("gw", verdict(1))
    assert taken(box, 6.0) == {}
    assert box.dropped == 2
    assert box.next_expiry_s() is None
    box.notice(b"\x01gw")
    assert taken(box, 6.1) == {}


def test_another_gateways_verdicts_do_not_wait_along(box: VerdictBox) -> None:
    box.notice(b"\x01here")
    box.put("gone", verdict(0))
    box.put("here", verdict(1))
    assert taken(box) == {b"here": [1]}


def test_what_waits_is_bounded_in_all(box: VerdictBox) -> None:
    for seq in range(8):
        box.put("a", verdict(seq))
        box.put("b", verdict(seq))
    taken(box, 0.0)
    assert box.dropped == 6
    box.notice(b"\x01a")
    box.notice(b"\x01b")
    assert taken(box, 0.5) == {b"a": list(range(8)), b"b": [0, 1]}


def test_topics_come_and_go(box: VerdictBox) -> None:
    assert not box.subscribed
    box.notice(b"\x01gw-2")
    box.notice(b"\x01gw-1")
    assert list(box.topics) == [b"gw-1", b"gw-2"]
    box.notice(b"\x00gw-2")
    box.notice(b"\x00never subscribed")
    assert list(box.topics) == [b"gw-1"]
    assert box.subscribed


@pytest.mark.parametrize("garbage", [b"", b"\x02gw", b"gw"])
def test_what_is_no_subscription_is_ignored(box: VerdictBox, garbage: bytes) -> None:
    box.notice(garbage)
    assert not box.subscribed


def test_a_gateway_id_that_is_no_text_is_survived(box: VerdictBox) -> None:
    box.put("\ud800", verdict(0))
    assert taken(box) == {}
