"""The ``wyoming`` package, as Home Assistant uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from deploy.demo_parts import same_words
from tests.protocols.conftest import ApiSystem
from tests.speech import SENTENCES, load, silence


@pytest.fixture
async def client(system: ApiSystem) -> AsyncIterator[AsyncTcpClient]:
    async with AsyncTcpClient("127.0.0.1", system.wyoming_port) as client:
        yield client


async def until(client: AsyncTcpClient, kind: str) -> list[Event]:
    """All events up to the first of a kind."""
    events: list[Event] = []
    async with asyncio.timeout(60):
        while not events or events[-1].type != kind:
            event = await client.read_event()
            assert event is not None, events
            events.append(event)
    return events


async def speak(client: AsyncTcpClient, audio: bytes) -> None:
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(16_000, 2, 1).event())
    for start in range(0, len(audio), 2_048):
        chunk = AudioChunk(16_000, 2, 1, audio[start : start + 2_048])
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())


async def test_it_describes_itself(client: AsyncTcpClient) -> None:
    await client.write_event(Describe().event())
    info = Info.from_event((await until(client, "info"))[-1])
    assert info.asr[0].models[0].name == "pocketsphinx"
    assert info.asr[0].supports_transcript_streaming
    await client.write_event(Ping(text="a").event())
    assert Pong.from_event((await until(client, "pong"))[-1]).text == "a"


async def test_utterances_one_after_the_other_each_with_its_stream(client: AsyncTcpClient) -> None:
    for audio, words in (
        (load("bridge"), SENTENCES["bridge"].recognised),
        (silence(1), ""),
        (load("city"), SENTENCES["city"].recognised),
    ):
        await speak(client, audio)
        events = await until(client, "transcript-stop")
        kinds = [event.type for event in events if event.type != "transcript-chunk"]
        assert kinds == ["transcript-start", "transcript", "transcript-stop"]
        text = Transcript.from_event(events[-2]).text
        assert same_words(words, text)
        chunks = [
            TranscriptChunk.from_event(event).text
            for event in events
            if event.type == "transcript-chunk"
        ]
        assert "".join(chunks) == text


async def test_a_bad_event_is_answered_and_the_connection_goes_on(client: AsyncTcpClient) -> None:
    await client.write_event(AudioStart(16_000, 7, 1).event())
    assert "width" in (await until(client, "error"))[-1].data["text"]
    await client.write_event(Event("audio-chunk", {"rate": "fast"}))
    await until(client, "error")
    await client.write_event(Event("no-such-event"))
    await speak(client, load("city"))
    text = Transcript.from_event((await until(client, "transcript"))[-1]).text
    assert same_words(SENTENCES["city"].recognised, text)


@pytest.mark.parametrize(
    "sent, reason",
    [
        (
            b'{"type": "audio-chunk", "payload_length": 99999999999}\n' + bytes(1000),
            b"over the limit",
        ),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"no event of the Wyoming protocol"),
        (b'["type"]\n', b"no event of the Wyoming protocol"),
    ],
)
async def test_what_is_no_event_or_claims_to_be_huge_is_told_and_ends_its_connection_only(
    client: AsyncTcpClient, system: ApiSystem, sent: bytes, reason: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", system.wyoming_port)
    writer.write(sent)
    said = await asyncio.wait_for(reader.read(), 30)
    assert b'"error"' in said
    assert reason in said
    writer.close()
    await client.write_event(Describe().event())
    await until(client, "info")
