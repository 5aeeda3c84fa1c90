"""What a client may tell a real recorder: methods and parameters."""

from __future__ import annotations

import time

import pytest

from common.envelope import Parameter
from common.errors import CommandError
from common.parameters import DEFAULT_LANGUAGE, InvalidValueError
from common.recognition_settings import RecorderSettings
from tests.integration.recorder_tools import Client, HashEngine, stream
from tests.speech import load, silence
from transcriber.recorder.outputs import (
    FinalStart,
    RecordingText,
)
from transcriber.scheduler import Scheduler

BRIDGE = "bridge"
MOUNTAINS = "mountains"
NUMBERS = "numbers"


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
    client.session.set_parameter("language", DEFAULT_LANGUAGE)
    assert client.session.get_parameter("language") == RecorderSettings().language == "en"
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
