"""Final results: each is shown once, whatever a replay repeats."""

from __future__ import annotations

import msgspec

from common.envelope import Commit, OnCorruption, Sentence, Word
from common.events import WordTime, to_json
from gateway.rejection import RejectionPolicy
from gateway.sentences import REMEMBERED_SENTENCES, Sentences
from gateway.witness import Witness


def sentence(text: str, end: int, mark: int = 0) -> Sentence:
    return Sentence("t", bytes(16), text, end - 16, end, Commit(3, 0, end), mark=mark)


def sentences(*, events: bool = False, utterances: bool = False) -> Sentences:
    witness = Witness(RejectionPolicy(True, False, 0, OnCorruption.FORWARD)) if events else None
    return Sentences(wants_events=events, wants_utterances=utterances, witness=witness)


def test_what_a_replay_repeats_is_not_new() -> None:
    some = sentences()
    assert some.is_new(sentence("One.", 100))
    assert not some.is_new(sentence("One.", 100))
    assert some.is_new(sentence("", 90, mark=1)), "a mark is known by its number"
    assert not some.is_new(sentence("", 120, mark=1))


def test_who_did_not_ask_for_more_gets_the_text_alone() -> None:
    shown = sentences().show(sentence("One.", 160))
    assert shown is not None
    assert (shown.text, shown.committed, shown.start_ms, shown.provenance) == (
        "One.",
        0,
        None,
        None,
    )
    assert sentences().show(sentence("", 160)) is None


def test_who_asked_for_events_is_told_where_it_is_and_what_it_was_heard_in() -> None:
    some = sentences(events=True)
    shown = some.show(sentence("One.", 160))
    assert shown is not None
    assert (shown.committed, shown.start_ms, shown.end_ms) == (3, 9, 10)
    assert some.provenance() == [shown.provenance]
    assert some.show(sentence("", 200)) is None
    assert some.show(sentence("", 200, mark=1)) is not None


def test_utterances_without_text_are_shown_to_who_asked_for_them() -> None:
    shown = sentences(utterances=True).show(sentence("", 160))
    assert shown is not None
    assert (shown.committed, shown.end_ms) == (0, 10)


def test_the_latest_are_kept_for_a_client_that_lost_some() -> None:
    some = sentences()
    for number in range(REMEMBERED_SENTENCES + 2):
        some.show(sentence(f"{number}.", 100 + number))
    assert some.count == REMEMBERED_SENTENCES + 2
    assert [shown.text for shown in some.missed(some.count - 1)] == [f"{some.count - 1}."]
    assert len(some.missed(0)) == REMEMBERED_SENTENCES
    assert some.missed(some.count) == some.missed(some.count + 5) == []


def test_words_and_their_times_are_told_to_the_protocols_that_have_a_place_for_them() -> None:
    said = msgspec.structs.replace(sentence("One.", 160), words=(Word("one", 1600, 3200, 0.5),))
    shown = sentences(utterances=True).show(said)
    assert shown is not None
    assert shown.words == (WordTime("one", 100, 200, 0.5),)
    for other in (sentences(events=True).show(said), sentences().show(said)):
        assert other is not None
        assert "words" not in to_json(other)
