"""What is entered for a frame with a verdict, whatever the policy."""

from __future__ import annotations

import pytest

from common.envelope import Code, Commit, OnCorruption, Sentence, Verdict
from common.receipts.statement import Heard
from gateway.receipts import ReceiptBook
from gateway.rejection import RejectionPolicy
from gateway.witness import Witness, heard_of

SESSION = bytes(16)


def policy(on_corruption: OnCorruption) -> RejectionPolicy:
    return RejectionPolicy(True, False, 0, on_corruption)


def verdict(seq: int = 0, code: Code = Code.OK, *, rate_hz: int = 16_000) -> Verdict:
    return Verdict(SESSION, seq, code, 4, 4 if rate_hz else 0, 1, 1, rate_hz, pcm_sha256=bytes(32))


@pytest.mark.parametrize(
    "on_corruption, heard",
    [
        (OnCorruption.FORWARD, Heard.AS_RECEIVED),
        (OnCorruption.SILENCE, Heard.SILENCE),
        (OnCorruption.DROP, Heard.NOTHING),
    ],
)
def test_what_is_heard_of_a_corrupt_frame_is_what_the_policy_says(
    on_corruption: OnCorruption, heard: Heard
) -> None:
    corrupt, unreadable = verdict(code=Code.CORRUPT), verdict(code=Code.CORRUPT, rate_hz=0)
    assert heard_of(corrupt, on_corruption, rejects=False) is heard
    assert heard_of(unreadable, on_corruption, rejects=False) is Heard.NOTHING
    assert heard_of(corrupt, on_corruption, rejects=True) is Heard.NOTHING
    for code in (Code.OK, Code.UNVERIFIED):
        assert heard_of(verdict(code=code), on_corruption, rejects=False) is Heard.AS_RECEIVED


def sentence(start: int, end: int) -> Sentence:
    return Sentence("t", SESSION, "Hello.", start, end, Commit(1, 0, end), engine="e", model="m")


def test_without_a_receipt_a_sentence_still_knows_its_frames() -> None:
    witness = Witness(policy(OnCorruption.FORWARD))
    assert witness.judged(b"", verdict(), rejects=False) is None
    entered = witness.sentence(sentence(0, 4))
    assert (entered.provenance.verified, entered.record) == (4, "")
    assert (entered.provenance.engine, entered.provenance.model) == ("e", "m")
    assert witness.records() is None
    assert witness.statement(0, version="", final=True, rejected="", replays=0) is None
    witness.committed(4)
    assert witness.sentence(sentence(0, 4)).provenance.first_frame == -1


def test_a_replay_is_said_of_the_sentence_and_changes_nothing_in_the_receipt() -> None:
    def state(*, replayed: bool) -> tuple[object, ...]:
        witness = Witness(policy(OnCorruption.SILENCE), ReceiptBook(SESSION, 0))
        witness.judged(bytes(12), verdict(), rejects=False)
        if replayed:
            witness.replayed(1)
        assert witness.sentence(sentence(0, 4)).provenance.replayed == replayed
        stated = witness.statement(1, version="v", final=True, rejected="", replays=0)
        assert stated is not None
        assert stated.predicate.engine == "e"
        return stated.subject, stated.predicate.frames

    assert state(replayed=True) == state(replayed=False)
