"""The ``deepgram-sdk`` package: live streams and files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment

from deploy.demo_parts import same_words
from tests.protocols.conftest import ApiSystem
from tests.speech import SENTENCES, load, silence


def said(name: str, text: str) -> bool:
    return same_words(SENTENCES[name].recognised, text)


def text_of(result: Any) -> str:
    text: str = result.channel.alternatives[0].transcript
    return text


def assert_words(result: Any, begin_s: float, end_s: float) -> None:
    """A result's words are its text, one after the other, and lie where they were spoken."""
    found = result.channel.alternatives[0]
    assert [word.punctuated_word for word in found.words] == found.transcript.split()
    times = [time for word in found.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert begin_s - 0.1 <= times[0] <= begin_s + 1
    assert end_s - 1 <= times[-1] <= end_s + 0.1
    assert all(0 < word.confidence <= 1 for word in found.words)
    assert 0 < found.confidence <= 1


def deepgram(system: ApiSystem, key: str = "none") -> AsyncDeepgramClient:
    """The package's client, told where the server is."""
    address = f"127.0.0.1:{system.api_port}"
    environment = DeepgramClientEnvironment(
        base=f"http://{address}",
        production=f"ws://{address}",
        agent=f"ws://{address}",
        agent_rest=f"http://{address}",
    )
    return AsyncDeepgramClient(api_key=key, environment=environment)


@pytest.fixture
def client(system: ApiSystem) -> AsyncDeepgramClient:
    return deepgram(system)


class Listener:
    """A live connection of the package and what it has said."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.sent = b""
        self.events: list[Any] = []

    async def send(self, audio: bytes, size: int = 3_199) -> None:
        self.sent += audio
        for start in range(0, len(audio), size):
            await self.socket.send_media(audio[start : start + size])

    async def until(self, wanted: Any) -> Any:
        """The first event from here on that is wanted."""
        async with asyncio.timeout(60):
            while True:
                event = await self.socket.recv()
                self.events.append(event)
                if wanted(event):
                    return event

    async def final(self) -> Any:
        return await self.until(lambda e: e.type == "Results" and e.is_final and text_of(e))

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]


@pytest.fixture
def listen(client: AsyncDeepgramClient) -> Any:
    @asynccontextmanager
    async def connect(**options: Any) -> AsyncIterator[Listener]:
        defaults = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000}
        async with client.listen.v1.connect(**{**defaults, **options}) as socket:
            yield Listener(socket)

    return connect


async def test_a_live_stream_from_interim_results_to_its_metadata(listen: Any) -> None:
    async with listen(
        interim_results="true",
        vad_events="true",
        endpointing="400",
        utterance_end_ms="1000",
        smart_format="true",
        punctuate="true",
        keyterm="bridge",
        language="en-US",
        tag="a test",
        channels="1",
    ) as listener:
        await listener.send(silence(0.5) + load("bridge") + silence(2))
        first = await listener.final()
        await listener.until(lambda e: e.type == "UtteranceEnd")
        await listener.socket.send_keep_alive()
        await listener.send(load("city"))
        await listener.socket.send_close_stream()
        end = await listener.until(lambda e: e.type == "Metadata")
    assert said("bridge", text_of(first))
    assert first.speech_final
    assert not first.from_finalize
    assert_words(first, 0.5, 0.5 + len(load("bridge")) / 32_000)
    assert first.start + first.duration == pytest.approx(0.5 + len(load("bridge")) / 32_000, abs=1)
    last = [e for e in listener.of("Results") if e.is_final][-1]
    assert said("city", text_of(last))
    begin = 0.5 + len(load("bridge")) / 32_000 + 2
    assert_words(last, begin, begin + len(load("city")) / 32_000)
    assert last.start >= first.start + first.duration
    started = [event.timestamp for event in listener.of("SpeechStarted")]
    assert len(started) == 2
    assert 0.5 <= started[0] <= 1.5
    assert end.sha256 == hashlib.sha256(listener.sent).hexdigest()
    assert end.duration == pytest.approx(len(listener.sent) / 32_000, abs=0.01)


async def test_finalize_is_answered_once_with_what_was_said_and_with_nothing(listen: Any) -> None:
    async with listen() as listener:
        await listener.send(load("city"))
        await listener.socket.send_finalize()
        spoken = await listener.until(lambda e: e.type == "Results" and e.from_finalize)
        await listener.socket.send_finalize()
        nothing = await listener.until(lambda e: e.type == "Results" and e.from_finalize)
    assert said("city", text_of(spoken))
    assert spoken.is_final
    assert text_of(nothing) == ""


async def test_what_is_not_understood_is_named_and_the_stream_goes_on(listen: Any) -> None:
    async with listen() as listener:
        await listener.socket._send("{}")
        error = await listener.until(lambda e: e.type == "Error")
        assert error.variant == "SchemaError"
        await listener.send(load("city") + silence(1))
        assert said("city", text_of(await listener.final()))


async def test_a_wav_header_tells_the_format_where_the_query_does_not(
    client: AsyncDeepgramClient,
) -> None:
    async with client.listen.v1.connect(model="nova-3") as socket:
        listener = Listener(socket)
        await listener.send(SENTENCES["bridge"].path.read_bytes() + silence(1), size=100)
        assert said("bridge", text_of(await listener.final()))


async def test_a_feature_that_no_engine_has_is_refused_by_name(
    listen: Any, system: ApiSystem
) -> None:
    with pytest.raises(ApiError) as refused:
        async with listen(diarize="true"):
            pass
    assert refused.value.status_code == 400
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{system.http}/listen?redact=pci", content=b"")
    assert answer.status_code == 400
    assert answer.json()["err_msg"] == "redact is not served here"


async def test_a_file(client: AsyncDeepgramClient) -> None:
    file = SENTENCES["bridge"].path.read_bytes()
    answer: Any = await client.listen.v1.media.transcribe_file(
        request=file, model="nova-3", utterances=True
    )
    assert said("bridge", answer.results.channels[0].alternatives[0].transcript)
    assert answer.metadata.sha256 == hashlib.sha256(file).hexdigest()
    assert answer.metadata.duration == pytest.approx(SENTENCES["bridge"].duration_s, abs=0.01)
    assert [said("bridge", u.transcript) for u in answer.results.utterances] == [True]
    words = answer.results.channels[0].alternatives[0].words
    assert 0 <= words[0].start < words[-1].end <= SENTENCES["bridge"].duration_s
    with pytest.raises(ApiError) as refused:
        await client.listen.v1.media.transcribe_file(request=b"no audio at all", model="nova-3")
    assert refused.value.status_code == 400
