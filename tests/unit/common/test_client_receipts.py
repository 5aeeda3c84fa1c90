"""What a client keeps of its receipts."""

from __future__ import annotations

import base64

from common.client.receipts import ReceiptKeeper
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
