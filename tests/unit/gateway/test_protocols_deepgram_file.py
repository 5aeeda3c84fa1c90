"""Deepgram's answer for a file."""

from __future__ import annotations

from gateway.protocols.base import Utterance, Word
from gateway.protocols.deepgram import Request, alternative
from gateway.protocols.deepgram_file import error_body, file_results
from gateway.protocols.deepgram_options import ListenOptions

REQUEST = Request("id", "2026-11-27T13:00:00.000Z", "pocketsphinx")
SAID = [Utterance("One.", 0, 1000), Utterance("", 1000, 1500), Utterance("Two.", 1600, 2000)]


def test_all_words_are_one_transcript_and_utterances_come_when_asked_for() -> None:
    plain = file_results(REQUEST, ListenOptions(), SAID, sha256="ab", duration_s=2.0)
    (channel,) = plain["results"]["channels"]
    (reading,) = channel["alternatives"]
    assert reading == {"transcript": "One. Two.", "confidence": 0.0, "words": []}
    assert "utterances" not in plain["results"]
    assert plain["metadata"]["sha256"] == "ab"
    assert plain["metadata"]["models"] == ["id"]

    options = ListenOptions(utterances=True, tags=("a",))
    full = file_results(REQUEST, options, SAID, sha256="ab", duration_s=2.0)
    spans = [(u["start"], u["end"], u["transcript"]) for u in full["results"]["utterances"]]
    assert spans == [(0.0, 1.0, "One."), (1.6, 2.0, "Two.")]
    assert full["metadata"]["tags"] == ["a"]


ONE = Utterance(
    "One, two.", 0, 1000, words=(Word("one", 100, 300, 0.5), Word("two", 300, 900, 1.0))
)


def test_words_are_told_with_their_times_as_they_are_written() -> None:
    options = ListenOptions(utterances=True)
    found = file_results(REQUEST, options, [ONE], sha256="ab", duration_s=2.0)["results"]
    (reading,) = found["channels"][0]["alternatives"]
    assert reading["confidence"] == 0.75
    assert reading["words"][0] == {
        "word": "one",
        "start": 0.1,
        "end": 0.3,
        "confidence": 0.5,
        "punctuated_word": "One,",
    }
    assert [word["word"] for word in found["utterances"][0]["words"]] == ["one", "two"]


def test_where_one_utterance_has_no_words_the_list_of_all_is_empty() -> None:
    found = file_results(REQUEST, ListenOptions(), [ONE, *SAID], sha256="ab", duration_s=2.0)
    assert found["results"]["channels"][0]["alternatives"][0]["words"] == []


def test_a_word_that_is_written_as_two_is_told_as_it_was_heard() -> None:
    heard = Word("Ten,", 0, 100, -1.0)
    reading = alternative("Ten o'clock.", [heard])
    (word,) = reading["words"]
    assert (word["word"], word["punctuated_word"], reading["confidence"]) == ("ten", "Ten,", 0.0)


def test_an_error_has_its_request() -> None:
    assert error_body("id", "CODE", "why") == {
        "err_code": "CODE",
        "err_msg": "why",
        "request_id": "id",
    }
