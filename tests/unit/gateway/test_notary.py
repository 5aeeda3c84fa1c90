"""Receipts of a session as its client gets them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from common.envelope import Code, Commit, OnCorruption, Sentence, Verdict
from common.errors import SettingsError
from common.events import FullSentence, Receipt, Records
from common.receipts.checking import examine
from common.receipts.signing import load_public, make_keys
from common.receipts.statement import Bundle, from_base64, parse_statement
from common.wire import Metadata, build_message
from gateway.notary import Notary
from gateway.rejection import RejectionPolicy
from gateway.session import Session, SessionLimits

PCM = b"\x01\x00\x02\x00"
POLICY = RejectionPolicy(True, False, 0, OnCorruption.FORWARD)


def session(*, receipt: bool) -> Session:
    one = Session(
        peer="peer",
        wants_events=True,
        policy=POLICY,
        limits=SessionLimits(64, 1 << 20, 0.25, 4.0),
        receipt_from_ns=0 if receipt else None,
    )
    for seq in range(2):
        one.window.accept(build_message(Metadata(sample_rate=16_000), PCM), 0.0, 0)
        one.window.sent(seq, 0.0)
        verdict = Verdict(
            one.id, seq, Code.OK, 2, 2, 3, 3, 16_000, pcm_sha256=hashlib.sha256(PCM).digest()
        )
        one.judge(verdict, 0.0)
    return one


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path)


def test_who_asked_for_a_receipt_gets_one_that_anybody_can_check(keys: tuple[Path, Path]) -> None:
    one = session(receipt=True)
    assert one.started(resumed=False).receipt
    taken = one.take_sentence(Sentence("t", one.id, "Hello.", 0, 4, Commit(0, 0, 0)))
    (sentence,) = taken.events
    assert isinstance(sentence, FullSentence)
    notary = Notary.of_file(str(keys[0]))
    records, receipt = notary.receipt(one, final=True)
    assert isinstance(records, Records)
    assert isinstance(receipt, Receipt)
    assert receipt.final
    bundle = Bundle.of(receipt.receipt, from_base64(records.frames), [sentence.record])
    found = examine(bundle, load_public(keys[1]), 2 * PCM, b"Hello.\n")
    assert all(finding.holds for finding in found), found
    stated = parse_statement(from_base64(receipt.receipt.payload))
    assert stated.predicate.handling.on_corruption == "forward"
    assert receipt.receipt.signatures[0].keyid == notary.key_id


def test_a_second_receipt_repeats_no_records(keys: tuple[Path, Path]) -> None:
    one = session(receipt=True)
    notary = Notary.of_file(str(keys[0]))
    assert len(notary.receipt(one, final=False)) == 2
    (receipt,) = notary.receipt(one, final=True)
    assert isinstance(receipt, Receipt)


def test_who_did_not_ask_gets_none(keys: tuple[Path, Path]) -> None:
    one = session(receipt=False)
    assert not one.started(resumed=False).receipt
    assert Notary.of_file(str(keys[0])).receipt(one, final=True) == []


def test_a_key_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--receipts: cannot read"):
        Notary.of_file(str(tmp_path / "none"))
