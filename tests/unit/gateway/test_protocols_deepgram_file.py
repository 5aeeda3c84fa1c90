"""Deepgram's answer for a file."""

from __future__ import annotations

from gateway.protocols.base import Utterance
from gateway.protocols.deepgram import Request
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


def test_an_error_has_its_request() -> None:
    assert error_body("id", "CODE", "why") == {
        "err_code": "CODE",
        "err_msg": "why",
        "request_id": "id",
    }
