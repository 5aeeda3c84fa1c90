"""What a client keeps of its receipts."""

from __future__ import annotations

import base64

from common.client.receipts import ASK_INTERVAL_S, ReceiptKeeper
from common.events import FullSentence, Receipt, Records
from common.receipts.statement import Envelope

ENVELOPE = Envelope("", "t", [])


def records(first: int, count: int) -> Records:
    leaves = b"".join(bytes([number]) * 50 for number in range(first, first + count))
    return Records(first, base64.b64encode(leaves).decode())


def test_a_receipt_is_kept_with_all_that_proves_its_parts() -> None:
    keeper = ReceiptKeeper()
    keeper.begin(resumed=False)
    for event in (records(0, 2), FullSentence("a", 1, record="{1}"), records(2, 1)):
        keeper.receive(event)
    keeper.receive(FullSentence("no receipt was asked for"))
    keeper.receive(Receipt(True, ENVELOPE))
    (bundle,) = keeper.bundles
    assert bundle.receipt == ENVELOPE
    assert bundle.frame_leaves() == [bytes([n]) * 50 for n in range(3)]
    assert bundle.sentences == ["{1}"]


def test_of_one_session_only_the_latest_receipt_is_kept() -> None:
    keeper = ReceiptKeeper()
    keeper.begin(resumed=False)
    keeper.receive(Receipt(False, ENVELOPE))
    keeper.begin(resumed=True)
    keeper.receive(records(0, 1))
    keeper.receive(Receipt(True, ENVELOPE))
    assert [len(bundle.frame_leaves()) for bundle in keeper.bundles] == [1]


def test_another_session_has_a_receipt_of_its_own() -> None:
    keeper = ReceiptKeeper()
    for count in (1, 2):
        keeper.begin(resumed=False)
        keeper.receive(records(0, count))
        keeper.receive(Receipt(True, ENVELOPE))
    assert [len(bundle.frame_leaves()) for bundle in keeper.bundles] == [1, 2]


def test_records_that_were_lost_with_a_connection_leave_none_rather_than_wrong_ones() -> None:
    keeper = ReceiptKeeper()
    keeper.begin(resumed=False)
    keeper.receive(records(0, 1))
    keeper.begin(resumed=True)
    keeper.receive(records(2, 1))
    keeper.receive(Receipt(True, ENVELOPE))
    assert not keeper.complete
    assert keeper.bundles[0].frame_leaves() == []


def test_after_a_sentence_a_receipt_is_asked_for_as_often_as_it_is_given() -> None:
    now_s = [100.0]
    keeper = ReceiptKeeper(lambda: now_s[0])
    keeper.begin(resumed=False)
    assert not keeper.asks(), "nothing was said yet"
    keeper.receive(FullSentence("one", 1, record="{1}"))
    assert keeper.asks()
    assert not keeper.asks()
    keeper.receive(FullSentence("two", 2, record="{2}"))
    assert not keeper.asks()
    now_s[0] += ASK_INTERVAL_S
    assert keeper.asks()
    keeper.receive(FullSentence("three", 3, record="{3}"))
    keeper.receive(Receipt(True, ENVELOPE))
    now_s[0] += ASK_INTERVAL_S
    assert not keeper.asks(), "the last receipt covers all"


def test_of_a_session_that_gave_no_last_receipt_the_latest_is_kept_with_what_it_is_on() -> None:
    keeper = ReceiptKeeper()
    keeper.begin(resumed=False)
    for event in (records(0, 2), FullSentence("a", 1, record="{1}"), Receipt(False, ENVELOPE)):
        keeper.receive(event)
    keeper.receive(records(2, 5))
    keeper.receive(FullSentence("b", 2, record="{2}"))
    keeper.begin(resumed=False)  # its gateway was killed
    keeper.receive(records(0, 1))
    keeper.receive(Receipt(True, ENVELOPE))
    first, second = keeper.bundles
    assert (len(first.frame_leaves()), first.sentences) == (2, ["{1}"])
    assert (len(second.frame_leaves()), second.sentences) == (1, [])
