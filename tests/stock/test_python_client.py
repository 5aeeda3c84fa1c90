"""RealtimeSTT's own Python client, as the installed package ships it, against the real stages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final

import pytest

from tests.faults.system import System
from tests.processes import wait_until
from tests.speech import SAMPLE_RATE, load, silence
from tests.stock.conftest import Connect, start_client
from tests.stock.listening import is_audio_of, is_heard, nearest
from tests.stock.stock_client import GREETING, StockClient, pcm_argument

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stock")]

PARAMETERS: Final = (
    "language",
    "silero_sensitivity",
    "wake_word_activation_delay",
    "post_speech_silence_duration",
    "deactivity_silence_confirmation_duration",
    "listen_start",
    "recording_stop_time",
    "last_transcription_bytes",
    "last_transcription_bytes_b64",
    "speech_end_silence_start",
    "is_recording",
    "use_wake_words",
)
SLOW_S: Final = 3.0
"""``get_parameter`` gives up after 5 s and prints so."""
LONG: Final = load("numbers") + load("train") + load("river")
"""Speech without a pause that would end a sentence."""
AFTER_NUMBERS_S: Final = 2.6


@pytest.fixture(scope="module")
def anna(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockClient]:
    """A client that lives through many tests, and must have no complaint at its end."""
    with start_client(system, tmp_path_factory.mktemp("anna")) as client:
        yield client.wait_ready()
        assert client.printed == GREETING


@pytest.fixture
def client(anna: StockClient) -> StockClient:
    """The same, with an empty list of callbacks."""
    anna.callbacks.clear()
    return anna


def speak_numbers(client: StockClient) -> None:
    """Let the microphone hear :data:`LONG`; returns when the numbers are said."""
    client.microphone.hear(LONG)
    client.wait_for(lambda c: "recording_start" in c.names, "speech is heard")
    left = len(LONG) // 2 - int(AFTER_NUMBERS_S * SAMPLE_RATE)
    wait_until(lambda: client.call("audio_input.stream.remaining") < left, "the numbers are said")


def end_well(client: StockClient) -> None:
    """Shut down: no thread hangs, and nothing was printed that is not in a life without faults."""
    assert client.shut_down() == 0, repr(client)
    assert client.printed == GREETING


def test_parameters_are_answered_before_anything_was_said(client: StockClient) -> None:
    answers = {name: client.end(client.begin("get_parameter", name)) for name in PARAMETERS}
    assert max(answer.seconds for answer in answers.values()) < SLOW_S, answers
    assert answers["silero_sensitivity"].value == 0.05
    assert answers["language"].value == ""  # which the client set when it was made
    assert answers["is_recording"].value is False
    assert answers["last_transcription_bytes"].value is None


def test_text_returns_what_was_said_and_every_callback_is_called(client: StockClient) -> None:
    text = client.text_of(silence(0.3) + load("experiment"))
    assert is_heard("experiment", text), text
    client.wait_for(lambda c: "transcription_start" in c.names, "the audio has come")
    order = [
        "vad_start",
        "recording_start",
        "turn_detection_start",
        "vad_stop",
        "recording_stop",
        "transcription_start",
    ]
    positions = [client.names.index(name) for name in order]
    assert positions == sorted(positions), client.names
    assert {"vad_detect_start", "vad_detect_stop", "turn_detection_stop"} <= set(client.names)
    for _ in range(8):  # they are what a busy machine leaves out
        if not client.heard:
            client.text_of(silence(0.3) + load("experiment"))
    assert client.heard, "no partial result"


def test_transcription_start_lets_the_client_hear_what_was_said(client: StockClient) -> None:
    client.text_of(silence(0.3) + load("music"))
    client.wait_for(lambda c: "transcription_start" in c.names, "the audio has come")
    assert [is_audio_of("music", audio) for audio in client.audios] == [True]


def test_parameters_are_answered_after_a_sentence(client: StockClient) -> None:
    client.text_of(silence(0.3) + load("home"))
    answers = {name: client.end(client.begin("get_parameter", name)) for name in PARAMETERS}
    assert max(answer.seconds for answer in answers.values()) < SLOW_S, answers
    assert len(answers["last_transcription_bytes"].value) > SAMPLE_RATE
    assert answers["last_transcription_bytes_b64"].value
    assert abs(answers["recording_stop_time"].value - time.time()) < 60


def test_stop_ends_the_sentence_while_speech_goes_on(client: StockClient) -> None:
    call = client.begin_text()
    speak_numbers(client)
    client.call("stop")
    text = client.end(call).value
    assert nearest(text) in ("numbers", "train"), text
    assert "evening" not in text
    assert "vad_stop" not in client.names[: client.names.index("recording_stop")]
    client.end(client.begin_text())  # the rest


def test_abort_throws_the_sentence_away_and_the_client_goes_on(client: StockClient) -> None:
    call = client.begin_text()
    speak_numbers(client)
    client.call("abort")
    text = client.end(call).value
    assert "one two three" not in text.lower(), text
    assert "evening" in text, text


def test_the_other_methods_are_called_without_complaint(client: StockClient) -> None:
    client.call("clear_audio_queue")
    client.call("wakeup")
    client.call("call_method", "text")
    client.call("call_method", "set_microphone", [True])
    client.call("call_method", "set_microphone", None, {"microphone_on": False})
    client.call("get_parameter", "is_recording")  # answered after the commands before it
    assert is_heard("city", client.text_of(silence(0.3) + load("city")))


def test_a_muted_client_sends_nothing_until_it_is_not_muted(
    client: StockClient, system: System
) -> None:
    client.call("set_microphone", False)
    call = client.begin_text()
    before = system.metrics()["frames"]
    client.call("get_parameter", "is_recording")
    assert system.metrics()["frames"] == before
    client.call("set_microphone", True)
    client.microphone.hear(silence(0.3) + load("coffee"))
    assert is_heard("coffee", client.end(call).value)
    assert system.metrics()["frames"] > before


def test_what_is_set_is_what_is_read(client: StockClient) -> None:
    values: dict[str, object] = {
        "language": "de",
        "silero_sensitivity": 0.3,
        "wake_word_activation_delay": 2,
        "post_speech_silence_duration": 0.9,
        "deactivity_silence_confirmation_duration": 0.2,
        "use_wake_words": False,
    }
    for name, value in values.items():
        client.call("set_parameter", name, value)
    assert {name: client.call("get_parameter", name) for name in values} == values


def test_two_clients_on_one_host_never_cross_and_a_shutdown_ends_one(
    connect: Connect, system: System
) -> None:
    before = system.metrics()["sessions"]
    clients = {"bread": connect("bread"), "train": connect("train")}
    for client in clients.values():
        client.wait_ready()
    for number, client in enumerate(clients.values()):
        client.call("set_parameter", "post_speech_silence_duration", 0.5 + number / 10)
        client.call("set_parameter", "language", ["de", "fr"][number])
    calls = {name: client.begin_text() for name, client in clients.items()}
    for name, client in clients.items():
        client.microphone.hear(silence(0.3) + load(name))
    for number, (name, client) in enumerate(clients.items()):
        text = client.end(calls[name]).value
        assert is_heard(name, text), text
        assert client.call("get_parameter", "post_speech_silence_duration") == 0.5 + number / 10
        assert client.call("get_parameter", "language") == ["de", "fr"][number]

    one, other = clients.values()
    one.call("call_method", "shutdown")
    wait_until(lambda: not one.call("is_running"), "its client has noticed", poll_s=0.1)
    # How its library words a normal close depends on the library's version.
    *greeting, own_words = one.printed
    assert greeting == GREETING
    assert re.fullmatch(r"WebSocket error: .*session was shut down'?", own_words)
    assert is_heard("river", other.text_of(silence(0.3) + load("river")))
    end_well(other)
    wait_until(lambda: system.metrics()["sessions"] == before, "both are gone", poll_s=0.1)


def test_a_fed_client_is_served_as_unverified_though_corruption_is_rejected(
    connect: Connect, system: System
) -> None:
    before = system.metrics()
    client = connect(use_microphone=False).wait_ready()
    pcm = silence(0.3) + load("prices") + silence(1.5)
    step = 2 * 1024
    frames = range(0, len(pcm), step)
    for start in frames:
        chunk = pcm[start : start + step]
        client.call("feed_audio", pcm_argument(chunk), {"chunk": start // step, "user": "me"})
    assert client.call("final_text_ready.wait", 60)
    assert is_heard("prices", client.call("final_text"))
    after = system.metrics()
    assert after["verdicts:unverified"] - before.get("verdicts:unverified", 0) == len(frames)
    assert after.get("verdicts:corrupt", 0) == before.get("verdicts:corrupt", 0)
    end_well(client)


def test_clients_that_name_their_sessions_are_sure_of_their_control_connections(
    connect: Connect,
) -> None:
    names = ["0123456789abcdef" * 2, "fedcba9876543210" * 2]
    clients = [connect(str(i), query=f"?session={name}") for i, name in enumerate(names)]
    for number, client in enumerate(clients):
        client.wait_ready().call("set_parameter", "silero_sensitivity", 0.1 + number / 10)
    for number, client in enumerate(clients):
        assert client.call("get_parameter", "silero_sensitivity") == 0.1 + number / 10
        assert client.printed == GREETING
