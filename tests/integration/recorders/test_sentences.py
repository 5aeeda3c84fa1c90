"""Sentences, commits and events of real recorders on synthesized speech."""

from __future__ import annotations

import time

import numpy as np
import pytest

from common.recognition_settings import RecorderSettings
from tests.integration.recorder_tools import Client, HashEngine, stream
from tests.speech import load, silence
from transcriber.engines import EngineSettings, create_engines
from transcriber.recorder.outputs import (
    AllReported,
    BacklogCleared,
    FinalStart,
    NoticeType,
    PartialText,
    RecordingText,
    SilenceCommit,
    StateNotice,
)
from transcriber.scheduler import Scheduler

BRIDGE = "bridge"
MOUNTAINS = "mountains"
CITY = "city"
NUMBERS = "numbers"


def test_a_fresh_recorder_continues_byte_for_byte_from_every_commit(
    scheduler: Scheduler, conversation: bytes
) -> None:
    whole = stream(scheduler, conversation)
    assert len(whole.sentences) == 5
    assert len(set(whole.texts)) == 5
    assert len(whole.of(SilenceCommit)) >= 2
    for commit in whole.commits:
        replayed = stream(scheduler, conversation, start_sample=commit, frame_bytes=1000)
        assert replayed.story(commit)[1:] == whole.story(commit)[1:], f"from {commit}"
        # After a commit of silence the fresh recorder says once more that it listens.
        again = StateNotice(NoticeType.VAD_DETECT_START, commit + 512)
        notices = [event for event in replayed.of(StateNotice) if event != again]
        expected = [e for e in whole.of(StateNotice) if e.at_sample > commit and e != again]
        assert notices == expected, f"from {commit}"


def test_sentences_do_not_depend_on_the_engines_speed(conversation: bytes) -> None:
    fast, slow = Scheduler(HashEngine()), Scheduler(HashEngine(delay_s=0.4))
    try:
        assert stream(slow, conversation).story() == stream(fast, conversation).story()
    finally:
        fast.close()
        slow.close()


def test_live_pace_yields_the_sentences_of_a_fast_replay(scheduler: Scheduler) -> None:
    pcm = silence(0.3) + load(NUMBERS) + silence(0.9) + load(NUMBERS)
    fast = stream(scheduler, pcm)
    live = Client(scheduler)
    started = time.monotonic()
    for offset in range(0, len(pcm), 3200):
        time.sleep(max(0.0, started + offset / 32_000 - time.monotonic()))
        live.session.feed(pcm[offset : offset + 3200])
    live.finish()
    assert len(live.sentences) == 2
    assert live.story() == fast.story()
    assert {event.text for event in live.of(PartialText)} == {"Partial"}


def test_a_sentence_is_transcribed_from_the_audio_it_was_spoken_in(
    scheduler: Scheduler, conversation: bytes
) -> None:
    client = stream(scheduler, conversation)
    starts = client.of(FinalStart)
    assert len(starts) == len(client.sentences)
    for start, sentence in zip(starts, client.sentences, strict=True):
        assert start.at_sample == sentence.end_sample
        span = slice(2 * sentence.start_sample, 2 * sentence.end_sample)
        assert start.pcm16 == conversation[span]


def test_sentences_do_not_overlap_and_events_are_in_order(
    scheduler: Scheduler, conversation: bytes
) -> None:
    client = stream(scheduler, conversation)
    ends = [0] + [sentence.end_sample for sentence in client.sentences]
    starts = [sentence.start_sample for sentence in client.sentences]
    assert all(end <= start for end, start in zip(ends, starts, strict=False))
    positions = [event.at_sample for event in client.of(StateNotice)]
    assert positions == sorted(positions)
    kinds = [event.type for event in client.of(StateNotice)]
    assert kinds[:8] == [
        NoticeType.VAD_DETECT_START,
        NoticeType.VAD_START,
        NoticeType.VAD_DETECT_STOP,
        NoticeType.RECORDING_START,
        NoticeType.TURN_DETECTION_START,
        NoticeType.VAD_STOP,
        NoticeType.RECORDING_STOP,
        NoticeType.TURN_DETECTION_STOP,
    ]
    assert kinds == kinds[:8] * 5 + [NoticeType.VAD_DETECT_START]
    assert isinstance(client.events[-1], AllReported)


def test_the_early_transcription_is_not_done_twice(
    engine: HashEngine, scheduler: Scheduler
) -> None:
    client = stream(scheduler, silence(1) + load(BRIDGE) + silence(1.5))
    assert len(client.sentences) == 1
    assert engine.finals == 1


def test_an_early_transcription_that_speech_overtook_is_not_used(scheduler: Scheduler) -> None:
    # A pause of half a second starts an early transcription, and does not end the recording.
    pcm = silence(1) + load(NUMBERS) + silence(0.3) + load(CITY) + silence(1.5)
    with_early = stream(scheduler, pcm)
    without = stream(scheduler, pcm, RecorderSettings(early_transcription_on_silence=0))
    assert len(with_early.sentences) == len(without.sentences) == 1
    first_only = stream(scheduler, silence(1) + load(NUMBERS) + silence(1.5))
    assert with_early.texts != first_only.texts
    assert with_early.sentences[0].end_sample == without.sentences[0].end_sample


def test_two_recorders_at_once_hear_only_their_own_words() -> None:
    scheduler = Scheduler(*create_engines(EngineSettings(engine="pocketsphinx", engine_workers=2)))
    try:
        first, second = Client(scheduler, name="first"), Client(scheduler, name="second")
        for client, pcm in (
            (first, silence(0.5) + load(BRIDGE) + silence(1) + load(CITY)),
            (second, silence(0.7) + load(MOUNTAINS) + silence(1) + load(NUMBERS)),
        ):
            client.feed(pcm)
        first.finish()
        second.finish()
    finally:
        scheduler.close()
    assert first.texts == [
        "The new bridge was opened in september.",
        "My brother works in the city.",
    ]
    assert second.texts == [
        "Snow covered the mountains last winter.",
        "One two three four five six seven.",
    ]


@pytest.mark.parametrize("pcm", [b"", silence(0.01), silence(3)], ids=["none", "part", "silence"])
def test_a_stream_without_speech_drains(scheduler: Scheduler, pcm: bytes) -> None:
    client = stream(scheduler, pcm)
    assert client.sentences == []
    assert isinstance(client.events[-1], AllReported)


def test_a_stream_that_ends_in_the_middle_of_speech_is_transcribed_to_its_end(
    scheduler: Scheduler,
) -> None:
    pcm = silence(1) + load(BRIDGE)
    client = stream(scheduler, pcm)
    assert len(client.sentences) == 1
    heard = client.of(FinalStart)[0].pcm16
    assert heard.startswith(pcm[2 * client.sentences[0].start_sample :])


def test_nothing_can_be_fed_after_the_end(scheduler: Scheduler) -> None:
    client = stream(scheduler, silence(0.1))
    with pytest.raises(ValueError, match="after the end"):
        client.session.feed(silence(0.1))


def test_half_a_sample_is_refused(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    with pytest.raises(ValueError, match="3 bytes"):
        client.session.feed(b"abc")
    client.session.close()


def test_speech_that_goes_on_is_cut_at_its_next_pause(scheduler: Scheduler) -> None:
    """The pause within it is too short to end the sentence otherwise."""
    speech = load(BRIDGE)[: 2 * int(3.5 * 16_000)]
    pcm = silence(1) + speech + silence(0.45) + speech
    assert len(stream(scheduler, pcm).sentences) == 1
    first, *others = stream(scheduler, pcm, RecorderSettings(max_recording_s=3.2)).sentences
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(float))
    assert 3.2 * 16_000 <= first.end_sample - first.start_sample < 1.25 * 3.2 * 16_000
    assert samples[first.end_sample - 1_600 : first.end_sample].mean() < 0.3 * samples.mean()
    assert others


def test_endless_speech_is_cut(scheduler: Scheduler) -> None:
    pcm = silence(1) + 3 * load(BRIDGE)
    client = stream(scheduler, pcm, RecorderSettings(max_recording_s=4))
    assert len(client.sentences) >= 2
    first = client.sentences[0]
    assert (first.end_sample - first.start_sample) / 16_000 == pytest.approx(5, abs=0.05)
    commit = first.end_sample
    replayed = stream(scheduler, pcm, RecorderSettings(max_recording_s=4), start_sample=commit)
    assert replayed.story(commit) == client.story(commit)


def test_silence_is_committed_while_nobody_speaks(scheduler: Scheduler) -> None:
    client = stream(scheduler, silence(30))
    commits = [event.sample for event in client.of(SilenceCommit)]
    assert len(commits) == 5
    assert commits == sorted(commits)
    assert commits[-1] / 16_000 > 22


def test_speech_within_the_gap_between_recordings_does_not_make_the_recorder_deaf(
    scheduler: Scheduler,
) -> None:
    options = RecorderSettings(min_gap_between_recordings=3)
    pcm = silence(1) + load(CITY) + silence(1) + load(NUMBERS) + silence(3) + load(BRIDGE)
    client = stream(scheduler, pcm, options)
    assert len(client.sentences) == 2
    first, last = client.sentences
    assert last.end_sample > len(pcm) // 2
    assert last.start_sample > len(pcm) // 2 - 16_000 * 4
    replayed = stream(scheduler, pcm, options, start_sample=first.end_sample)
    assert replayed.sentences == [last]


# -- engines that fail or dawdle -------------------------------------------------------------------


def test_a_failed_transcription_is_tried_again(engine: HashEngine, scheduler: Scheduler) -> None:
    pcm = silence(1) + load(BRIDGE) + silence(1.5)
    engine.failures = 2
    client = stream(scheduler, pcm)
    assert client.texts[0] != ""
    assert client.sentences[0].error == ""


def test_a_transcription_that_always_fails_is_reported_and_the_next_one_works(
    engine: HashEngine, scheduler: Scheduler
) -> None:
    client = Client(scheduler)
    engine.failures = 4  # the early one, and three more
    client.feed(silence(1) + load(BRIDGE) + silence(1.5))
    client.wait_for(RecordingText)
    client.feed(load(MOUNTAINS))
    client.finish()
    assert [sentence.error for sentence in client.sentences] == [
        "RuntimeError: the engine stumbled",
        "",
    ]
    assert client.texts[0] == ""
    assert client.texts[1] != ""


def test_a_recorder_whose_texts_lag_asks_to_be_fed_later(
    engine: HashEngine, scheduler: Scheduler
) -> None:
    client = Client(scheduler)
    engine.gate.clear()
    sentence = load(NUMBERS) + silence(1)
    for _ in range(3):
        client.session.feed(sentence)
    deadline = time.monotonic() + 30
    while client.session.position < 3 * len(sentence) // 2 - 1024 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.is_held_back()
    assert client.of(BacklogCleared) == []
    engine.gate.set()
    client.wait_for(BacklogCleared)
    assert not client.is_held_back()
    client.finish()
    assert len(client.sentences) == 3


def test_a_recorder_that_is_behind_asks_to_be_fed_later(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.session.feed(silence(60))
    assert client.is_held_back()
    client.wait_for(BacklogCleared)
    assert not client.is_held_back()
    client.finish()


def test_clearing_the_queue_clears_the_backlog(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.session.feed(silence(600))
    assert client.is_held_back()
    client.session.call_method("clear_audio_queue")
    client.wait_for(BacklogCleared, timeout_s=5)
    assert client.session.position == 600 * 16_000
    client.session.close()


# -- commands --------------------------------------------------------------------------------------
