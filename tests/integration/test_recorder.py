"""Real recorders on synthesized speech."""

from __future__ import annotations

import logging
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.envelope import Parameter
from common.errors import CommandError
from common.parameters import InvalidValueError
from common.recognition_settings import RecorderSettings
from tests.integration.recorder_tools import Client, HashEngine, stream, with_noise
from tests.speech import load, silence
from transcriber.engines import EngineSettings, create_engines
from transcriber.recorder.feed import ChunkFeed
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
from transcriber.recorder.recorder import Recorder, preload
from transcriber.scheduler import Scheduler

BRIDGE = "bridge"
MOUNTAINS = "mountains"
CITY = "city"
NUMBERS = "numbers"


@pytest.fixture(scope="module", autouse=True)
def realtimestt() -> None:
    preload()


@pytest.fixture
def engine() -> HashEngine:
    return HashEngine()


@pytest.fixture
def scheduler(engine: HashEngine) -> Iterator[Scheduler]:
    scheduler = Scheduler(engine)
    yield scheduler
    scheduler.close()


@pytest.fixture(scope="module")
def conversation() -> bytes:
    """Five utterances with short and long pauses, in light noise: 40 s."""
    pcm = silence(1) + load(BRIDGE) + silence(1) + load(MOUNTAINS) + silence(0.8) + load(CITY)
    pcm += silence(13.3) + load(NUMBERS) + silence(0.9) + load(BRIDGE) + silence(6.1)
    return with_noise(pcm, level=30)


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


def feed_half(client: Client, pcm: bytes) -> bytes:
    """Feed half of ``pcm`` and wait until it was consumed; returns the rest."""
    half = len(pcm) // 2048 * 1024
    client.session.feed(pcm[:half])
    deadline = time.monotonic() + 30
    while client.session.position < half // 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    return pcm[half:]


def test_abort_throws_the_recording_away_and_goes_on(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    feed_half(client, silence(1) + load(BRIDGE) + silence(1))
    assert client.session.get_parameter("is_recording") is True
    client.session.call_method("abort")
    client.feed(silence(1))
    client.wait_for(RecordingText)
    client.feed(silence(1) + load(MOUNTAINS))
    client.finish()
    assert client.texts[0] == ""
    assert client.sentences[0].error == ""
    assert len(client.texts) == 2
    assert client.texts[1] != ""


def test_abort_drops_texts_that_are_awaited(engine: HashEngine, scheduler: Scheduler) -> None:
    client = Client(scheduler)
    engine.gate.clear()
    client.feed(silence(1) + load(BRIDGE) + silence(1.5))
    client.wait_for(FinalStart)
    client.session.call_method("abort")
    client.wait_for(RecordingText)
    assert client.texts == [""]
    engine.gate.set()
    client.feed(load(MOUNTAINS))
    client.finish()
    assert len(client.texts) == 2
    assert client.texts[1] != ""


def test_abort_without_anything_to_abort_is_harmless(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    for _ in range(3):
        client.session.call_method("abort")
    client.feed(silence(1) + load(BRIDGE))
    client.finish()
    assert len(client.sentences) == 1
    assert client.texts[0] != ""


def test_stop_ends_the_recording_at_once(scheduler: Scheduler) -> None:
    client = Client(scheduler, RecorderSettings(min_length_of_recording=0.1))
    rest = feed_half(client, silence(1) + load(BRIDGE) + silence(1))
    at = client.session.position
    client.session.call_method("stop")
    client.feed(rest)
    client.finish()
    assert client.sentences[0].end_sample == at
    assert client.texts[0] != ""


def test_clearing_the_queue_keeps_positions(engine: HashEngine, scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.session.feed(silence(40))
    client.session.call_method("clear_audio_queue")
    client.feed(silence(1) + load(BRIDGE) + silence(1.5))
    client.finish()
    (sentence,) = client.sentences
    assert 40 < sentence.start_sample / 16_000 < 41.5


def test_other_methods_do_no_harm(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.session.call_method("set_microphone", [True])
    client.session.call_method("set_microphone", [], {"microphone_on": False})
    for name in ("wakeup", "text", "shutdown", "clear_audio_queue", "stop"):
        client.session.call_method(name)
    client.feed(silence(1) + load(BRIDGE))
    client.finish()
    assert len(client.sentences) == 1
    with pytest.raises(CommandError, match="Method feed_audio is not allowed"):
        client.session.call_method("feed_audio")


def test_parameters_are_read_back_as_set(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    values: dict[str, Parameter] = {
        "language": "de",
        "silero_sensitivity": 0.3,
        "wake_word_activation_delay": 2,
        "post_speech_silence_duration": 1.5,
        "deactivity_silence_confirmation_duration": 0.1,
        "recording_stop_time": 0,
        "use_wake_words": False,
    }
    for name, value in values.items():
        client.session.set_parameter(name, value)
        assert client.session.get_parameter(name) == value
    client.session.set_parameter("language", None)
    assert client.session.get_parameter("language") == ""
    with pytest.raises(InvalidValueError, match="without wake words"):
        client.session.set_parameter("use_wake_words", True)
    assert client.session.get_parameter("last_transcription_bytes") is None
    client.session.close()


def test_times_are_those_of_the_day(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.feed(silence(1) + load(BRIDGE))
    client.finish()
    for name in ("listen_start", "recording_stop_time"):
        value = client.session.get_parameter(name)
        assert isinstance(value, float)
        assert value == pytest.approx(time.time(), abs=60)


def test_the_last_recording_can_be_read(scheduler: Scheduler) -> None:
    client = stream(scheduler, silence(1) + load(BRIDGE))
    samples = client.session.get_parameter("last_transcription_bytes")
    assert isinstance(samples, list)
    assert len(samples) == len(client.of(FinalStart)[0].pcm16) // 2
    assert isinstance(client.session.get_parameter("last_transcription_bytes_b64"), str)


def test_a_longer_pause_joins_sentences(scheduler: Scheduler) -> None:
    pcm = silence(1) + load(NUMBERS) + silence(1.2) + load(NUMBERS)
    client = Client(scheduler)
    client.session.set_parameter("post_speech_silence_duration", 2.5)
    client.feed(pcm)
    client.finish()
    assert len(client.sentences) == 1
    assert len(stream(scheduler, pcm).sentences) == 2


# -- wake words ------------------------------------------------------------------------------------


class FakePorcupine:
    """Hears its wake word in one loud click."""

    frame_length = 512
    sample_rate = 16_000

    def process(self, pcm: tuple[int, ...]) -> int:
        return 0 if max(pcm) == 32_767 else -1


CLICK = np.array([32_767] + [0] * 511, dtype="<i2").tobytes()


@pytest.fixture
def porcupine(monkeypatch: pytest.MonkeyPatch) -> RecorderSettings:
    module = types.ModuleType("pvporcupine")
    module.create = lambda **_: FakePorcupine()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pvporcupine", module)
    return RecorderSettings(wake_words="porcupine", wakeword_backend="pvporcupine")


def test_only_speech_after_the_wake_word_is_recorded(
    scheduler: Scheduler, porcupine: RecorderSettings
) -> None:
    pcm = silence(1) + load(CITY) + silence(1.6) + CLICK + silence(0.1) + load(BRIDGE)
    pcm += silence(2) + load(CITY) + silence(2.4) + CLICK + silence(0.2) + load(MOUNTAINS)
    client = stream(scheduler, pcm, porcupine)
    assert len(client.sentences) == 2
    first, second = client.sentences
    spoken_first = (silence(1) + load(CITY) + silence(1.6), load(BRIDGE))
    assert first.start_sample < len(b"".join(spoken_first)) // 2 < first.end_sample
    assert second.start_sample > first.end_sample
    kinds = [event.type for event in client.of(StateNotice)]
    assert kinds.count(NoticeType.WAKEWORD_DETECTED) == 2
    assert kinds.count(NoticeType.WAKEWORD_DETECTION_START) >= 2
    assert NoticeType.WAKEWORD_DETECTION_END in kinds


def test_a_wake_word_without_speech_runs_out(
    scheduler: Scheduler, porcupine: RecorderSettings
) -> None:
    client = stream(scheduler, silence(1) + CLICK + silence(6) + load(CITY), porcupine)
    assert client.sentences == []
    assert client.session.get_parameter("use_wake_words") is True


# -- a good neighbour in its process ---------------------------------------------------------------


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_a_closed_session_leaves_nothing_behind(
    scheduler: Scheduler, capfd: pytest.CaptureFixture[str]
) -> None:
    stream(scheduler, silence(1))
    handlers = list(logging.getLogger("realtimestt").handlers)
    threads = set(threading.enumerate())
    descriptors = open_files()
    clients = [Client(scheduler, name=str(number)) for number in range(8)]
    for client in clients:
        client.feed(silence(1) + load(NUMBERS))
    started = time.monotonic()
    for client in clients:
        client.session.close()
        client.session.close()
    assert time.monotonic() - started < 5
    assert set(threading.enumerate()) <= threads
    assert open_files() <= descriptors
    assert logging.getLogger("realtimestt").handlers == handlers
    output = capfd.readouterr()
    assert output.out == ""


def test_a_session_closes_at_once_while_the_engine_is_busy(
    engine: HashEngine, scheduler: Scheduler
) -> None:
    client = Client(scheduler)
    engine.gate.clear()
    client.feed(silence(1) + load(BRIDGE) + silence(1.5))
    client.wait_for(FinalStart)
    started = time.monotonic()
    client.session.close()
    assert time.monotonic() - started < 2
    assert client.sentences == []


def test_an_idle_session_costs_no_cpu(scheduler: Scheduler) -> None:
    sessions = [Client(scheduler, name=str(number)) for number in range(4)]
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(1.0)
    used = time.process_time() - before
    for client in sessions:
        client.session.close()
    assert used < 0.05


def test_a_recorder_goes_on_after_an_error_in_realtimestt(scheduler: Scheduler) -> None:
    client = Client(scheduler)
    client.feed(silence(1))
    deadline = time.monotonic() + 30
    while client.session.position < 15_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    client.session._recorder.webrtc_vad_model = None  # what is fed next fails
    client.feed(silence(1) + load(CITY))
    client.finish()
    assert len(client.sentences) == 1
    assert client.texts[0] != ""


def test_options_that_realtimestt_refuses_are_an_error(scheduler: Scheduler) -> None:
    options = RecorderSettings(wakeword_backend="nonsense", wake_words="alexa")
    with pytest.raises(ValueError, match="nonsense"):
        Recorder(options, scheduler, "session", lambda event: None)


def test_a_recorders_thread_reads_its_feed_from_its_first_moment_on(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the installed RealtimeSTT is as the table of replaced names says."""
    from RealtimeSTT.core import initialization

    queues: list[object] = []
    work = initialization.run_recording_worker

    def look_and_work(recorder: Any) -> None:
        queues.append(recorder.audio_queue)
        work(recorder)

    monkeypatch.setattr(initialization, "run_recording_worker", look_and_work)
    stream(scheduler, silence(0.1))
    assert [type(queue) for queue in queues] == [ChunkFeed]
