"""Real recorders whose utterances the client bounds: push to talk, finalize."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.recognition_settings import RecorderSettings
from tests.integration.recorder_tools import Client, HashEngine
from tests.speech import load, silence
from transcriber.recorder.outputs import RecordingText
from transcriber.recorder.recorder import preload
from transcriber.scheduler import Scheduler

ODD = 1234
"""Bytes that end in the middle of one of the recorder's chunks."""


@pytest.fixture(scope="module", autouse=True)
def realtimestt() -> None:
    preload()


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler(HashEngine())
    yield scheduler
    scheduler.close()


def held(client: Client, pcm: bytes, number: int, *, discard: bool = False) -> None:
    client.session.hold()
    client.feed(pcm)
    client.session.end_utterance(number, discard=discard)


def test_a_held_utterance_is_exactly_what_was_fed_whatever_is_heard_in_it(
    scheduler: Scheduler,
) -> None:
    speech = load("bridge")[:40_000] + silence(3) + load("city")[:ODD]
    client = Client(scheduler)
    held(client, speech, 1)
    held(client, silence(2), 2)
    held(client, load("city")[:30_000], 3)
    client.finish()
    spans = [(s.start_sample, s.end_sample, s.mark) for s in client.sentences]
    first = len(speech) // 2
    assert spans == [
        (0, first, 1),
        (first, first + 32_000, 2),
        (first + 32_000, first + 47_000, 3),
    ]
    texts = [sentence.text for sentence in client.sentences]
    assert len({texts[0], texts[2], ""}) == 3
    assert texts[1] == "", "there is nothing to recognise in digital silence"


def test_a_replay_from_the_end_of_a_held_utterance_gives_the_same_next_one(
    scheduler: Scheduler,
) -> None:
    first, second = load("bridge")[: 40_000 + ODD], load("city")
    whole = Client(scheduler)
    held(whole, first, 1)
    held(whole, second, 2)
    whole.finish()
    start = whole.sentences[0].end_sample
    again = Client(scheduler, start_sample=start, name="again")
    again.session.end_utterance(1, discard=False)  # its frame may be repeated
    held(again, second, 2)
    again.finish()
    assert again.sentences[0] == RecordingText("", start, start, mark=1)
    assert again.sentences[1:] == whole.sentences[1:]


def test_what_was_discarded_has_no_text_and_the_next_utterance_is_whole(
    scheduler: Scheduler,
) -> None:
    client = Client(scheduler)
    held(client, load("bridge")[:40_000], 1, discard=True)
    held(client, load("city")[:40_000], 2)
    client.finish()
    assert [(s.text == "", s.mark) for s in client.sentences] == [(True, 1), (False, 2)]


def test_a_mark_ends_what_silence_has_not_ended_yet(scheduler: Scheduler) -> None:
    speech = load("bridge")[: 60_000 + ODD]
    client = Client(scheduler)
    client.feed(speech)
    client.session.end_utterance(1, discard=False)
    client.wait_for(RecordingText)
    assert client.sentences[0].text
    assert client.sentences[0].end_sample == len(speech) // 2
    assert client.sentences[0].mark == 1
    client.feed(load("city") + silence(1))
    client.finish()
    assert [bool(s.text) for s in client.sentences] == [True, True]
    assert client.sentences[1].mark == 0


def test_a_mark_without_a_recording_is_answered_and_changes_nothing(scheduler: Scheduler) -> None:
    speech = silence(1)[:-ODD] + load("bridge") + silence(1)
    plain, marked = Client(scheduler), Client(scheduler, name="marked")
    plain.feed(speech)
    plain.finish()
    marked.session.end_utterance(1, discard=False)
    marked.feed(silence(1)[:-ODD])
    marked.session.end_utterance(2, discard=False)
    marked.feed(load("bridge") + silence(1))
    marked.finish()
    assert marked.sentences[:2] == [
        RecordingText("", 0, 0, mark=1),
        RecordingText("", 0, 0, mark=2),
    ]
    assert len(plain.sentences) == len(marked.sentences[2:]) == 1
    assert abs(marked.sentences[2].end_sample - plain.sentences[0].end_sample) < 512


def test_a_held_utterance_over_the_limit_comes_in_parts(scheduler: Scheduler) -> None:
    options = RecorderSettings(max_recording_s=2.0)
    client = Client(scheduler, options)
    held(client, silence(5), 1)
    client.finish()
    marks = [sentence.mark for sentence in client.sentences]
    assert marks == [0, 0, 1]
    lengths = [s.end_sample - s.start_sample for s in client.sentences]
    assert sum(lengths) == 5 * 16_000


def test_the_end_of_the_stream_ends_a_held_utterance(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.session.hold()
    client.feed(load("bridge")[:40_000])
    client.finish()
    assert [(bool(s.text), s.mark) for s in client.sentences] == [(True, 0)]


def test_after_held_utterances_silence_ends_them_again(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    held(client, load("bridge")[:40_000], 1)
    client.feed(silence(0.5) + load("city") + silence(1))
    client.finish()
    assert [(bool(s.text), s.mark) for s in client.sentences] == [(True, 1), (True, 0)]
