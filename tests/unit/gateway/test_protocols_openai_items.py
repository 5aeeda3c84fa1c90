"""Items: one each utterance, by order and by marks, whatever events were shed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.base import Partial, SpeechStarted, SpeechStopped, Utterance
from gateway.protocols.openai_items import Items


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].rpartition(".")[2] for event in events]


def completed(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(e["item_id"], e["transcript"]) for e in events if "transcript" in e]


def test_recordings_and_results_may_overlap() -> None:
    items = Items("x")
    events = items.speech_started(SpeechStarted(0))
    events += items.speech_stopped(SpeechStopped(100))
    events += items.speech_started(SpeechStarted(150))
    events += items.utterance(Utterance("One.", 0, 100))
    events += items.speech_stopped(SpeechStopped(300))
    events += items.utterance(Utterance("Two.", 120, 300))
    assert completed(events) == [("item_x0001", "One."), ("item_x0002", "Two.")]


def test_a_result_whose_recording_was_not_heard_to_stop_stops_it() -> None:
    items = Items("x")
    items.speech_started(SpeechStarted(0))
    events = items.utterance(Utterance("One.", 0, 100))
    assert kinds(events) == ["speech_stopped", "committed", "added", "done", "delta", "completed"]


def test_nothing_is_told_of_a_recording_without_words_that_was_never_announced() -> None:
    assert Items("x").utterance(Utterance("", 0, 100)) == []


def test_silence_that_ended_an_utterance_just_before_the_commit_costs_no_item() -> None:
    items = Items("x")
    items.speech_started(SpeechStarted(0))
    items.commit(1)
    assert items.utterance(Utterance("Said.", 0, 90)) == []
    events = items.utterance(Utterance("", 90, 90, mark=1))
    assert completed(events) == [("item_x0001", "Said.")]


def test_a_stop_that_a_commit_foresaw_is_not_told() -> None:
    items = Items("x")
    items.speech_started(SpeechStarted(0))
    items.commit(1)
    assert items.speech_stopped(SpeechStopped(100)) == []


def test_settled_audio_is_an_item_only_with_words() -> None:
    for text, told in (("", False), ("Words.", True)):
        items = Items("x")
        items.hold()
        items.settle(1)
        assert bool(items.utterance(Utterance(text, 0, 100, mark=1))) is told


def test_ids_of_two_sessions_differ() -> None:
    one, other = (Items(name).speech_started(SpeechStarted(0))[0] for name in "ab")
    assert one["item_id"] != other["item_id"]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=12))
def test_every_utterance_with_words_completes_exactly_one_item_in_order(
    shed: list[tuple[bool, bool, bool]],
) -> None:
    """Whichever of a recording's events were shed under load."""
    items = Items("x")
    events: list[dict[str, Any]] = []
    for number, (start, stop, partial) in enumerate(shed):
        at_ms = 1000 * number
        if not start:
            events += items.speech_started(SpeechStarted(at_ms))
        if not partial:
            events += items.partial(Partial("Text one", at_ms + 100))
        if not stop:
            events += items.speech_stopped(SpeechStopped(at_ms + 500))
        events += items.utterance(Utterance(f"Text {number}.", at_ms, at_ms + 500))
    done = completed(events)
    assert [text for _, text in done] == [f"Text {n}." for n in range(len(shed))]
    assert len({item for item, _ in done}) == len(done)
    for item, _ in done:
        own = [e for e in events if e.get("item_id") == item and "delta" not in e]
        assert kinds(own) == ["speech_started", "speech_stopped", "committed", "completed"]
