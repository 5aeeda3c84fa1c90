"""The ``openai`` package: Realtime transcription sessions."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np
import pytest
import soxr
from openai import AsyncOpenAI

from deploy.demo_parts import same_words
from tests.protocols.conftest import ApiSystem
from tests.protocols.g711 import from_alaw, from_mulaw, to_alaw, to_mulaw
from tests.speech import SENTENCES, load, silence

COMPLETED: Final = "conversation.item.input_audio_transcription.completed"
DELTA: Final = "conversation.item.input_audio_transcription.delta"
STARTED: Final = "input_audio_buffer.speech_started"
STOPPED: Final = "input_audio_buffer.speech_stopped"
COMMITTED: Final = "input_audio_buffer.committed"


def at_rate(pcm: bytes, rate_hz: int) -> bytes:
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    resampled = np.rint(soxr.resample(samples, 16_000, rate_hz))
    return bytes(resampled.astype("<i2").tobytes())


def said(name: str, text: str) -> bool:
    return same_words(SENTENCES[name].recognised, text)


class Agent:
    """What a voice agent's plugin does with a connection of the package."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def update(self, **audio_input: Any) -> dict[str, Any]:
        """Configure the session; its input as the server then shows it."""
        session = {"type": "transcription", "audio": {"input": audio_input}}
        await self.connection.session.update(session=session)
        updated = (await self.until("session.updated"))[-1]
        shown: dict[str, Any] = updated.session.to_dict()["audio"]["input"]
        return shown

    async def append(self, audio: bytes, size: int = 2400) -> None:
        """50 ms at a time, faster than real time; the size need not end with a sample."""
        for start in range(0, len(audio), size):
            piece = base64.b64encode(audio[start : start + size]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)

    async def commit(self) -> None:
        await self.connection.input_audio_buffer.commit()

    async def until(self, kind: str, count: int = 1, *, fatal: bool = True) -> list[Any]:
        """All events up to the ``count``-th of a kind; an error ends an agent's stream."""
        events: list[Any] = []
        async with asyncio.timeout(60):
            while sum(event.type == kind for event in events) < count:
                events.append(await self.connection.recv())
                assert not fatal or events[-1].type != "error", events[-1]
        return events


pytestmark = pytest.mark.filterwarnings(
    "ignore:Pydantic serializer warnings"  # OpenAI itself takes no other rate than 24000
)


@pytest.fixture
async def agent(system: ApiSystem) -> AsyncIterator[Agent]:
    async with (
        AsyncOpenAI(base_url=system.http, api_key="none") as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        first = await connection.recv()
        assert first.type == "session.created"
        yield Agent(connection)


async def test_server_voice_detection_makes_an_item_of_each_utterance(agent: Agent) -> None:
    shown = await agent.update(
        format={"type": "audio/pcm", "rate": 24000},
        transcription={"model": "whisper-1", "language": "en", "prompt": "", "delay": "low"},
        turn_detection={"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 600},
        noise_reduction={"type": "near_field"},
        newer_than_any_server=True,
    )
    assert shown["transcription"] == {"model": "whisper-1", "language": "en"}
    assert shown["turn_detection"]["silence_duration_ms"] == 600
    audio = silence(0.5) + load("bridge") + silence(1.2) + load("city") + silence(1.2)
    await agent.append(at_rate(audio, 24_000), size=2_399)
    events = await agent.until(COMPLETED, 2)

    ends = [event for event in events if event.type == COMPLETED]
    assert said("bridge", ends[0].transcript)
    assert said("city", ends[1].transcript)
    for end in ends:
        own = [e.type for e in events if getattr(e, "item_id", None) == end.item_id]
        assert [kind for kind in own if kind != DELTA] == [STARTED, STOPPED, COMMITTED, COMPLETED]
        deltas = [e.delta for e in events if e.type == DELTA and e.item_id == end.item_id]
        assert "".join(deltas) == end.transcript
    begin = [event.audio_start_ms for event in events if event.type == STARTED]
    end_ms = [event.audio_end_ms for event in events if event.type == STOPPED]
    speech_ms = 500 + len(load("bridge")) / 32
    assert 500 <= begin[0] <= 1_500
    assert speech_ms <= end_ms[0] <= begin[1]
    assert speech_ms + 1_200 <= begin[1] <= speech_ms + 2_200


async def test_each_manual_commit_makes_exactly_one_item(agent: Agent) -> None:
    shown = await agent.update(turn_detection=None)
    assert shown["turn_detection"] is None
    pause = load("bridge") + silence(2) + load("city")  # that no detector may cut
    for audio in (pause, silence(1), load("city")):
        await agent.append(at_rate(audio, 24_000))
        await agent.commit()
    events = await agent.until(COMPLETED, 3)
    kinds = [event.type for event in events]
    assert kinds.count(COMMITTED) == 3
    assert STARTED not in kinds
    items = [event.item_id for event in events if event.type == COMMITTED]
    ends = {event.item_id: event.transcript for event in events if event.type == COMPLETED}
    assert list(ends) == items
    texts = [ends[item] for item in items]
    assert "bridge" in texts[0].lower()
    assert "city" in texts[0].lower()
    assert texts[1] == ""
    assert said("city", texts[2])


async def test_what_was_cleared_is_not_transcribed_and_an_empty_commit_is_an_error(
    agent: Agent,
) -> None:
    await agent.update(turn_detection=None)
    await agent.append(at_rate(load("bridge"), 24_000))
    await agent.connection.input_audio_buffer.clear()
    await agent.until("input_audio_buffer.cleared")
    await agent.commit()
    error = (await agent.until("error", fatal=False))[-1].error
    assert error.code == "input_audio_buffer_commit_empty"
    await agent.append(at_rate(load("city"), 24_000))
    await agent.commit()
    assert said("city", (await agent.until(COMPLETED))[-1].transcript)


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_telephone_audio_is_heard_as_the_same_audio_in_pcm(agent: Agent, kind: str) -> None:
    """The embedded engine is poor at 8 kHz, but so it is at the same samples in PCM."""
    encode, decode = (to_mulaw, from_mulaw) if kind == "audio/pcmu" else (to_alaw, from_alaw)
    coded = encode(at_rate(load("bridge"), 8_000))
    texts = []
    for audio_format, audio in (
        ({"type": kind}, coded),
        ({"type": "audio/pcm", "rate": 8000}, decode(coded)),
    ):
        shown = await agent.update(format=audio_format, turn_detection=None)
        assert shown["format"] == audio_format
        await agent.append(audio, size=400)
        await agent.commit()
        texts.append((await agent.until(COMPLETED))[-1].transcript)
    assert len(texts[0].split()) >= 4
    assert texts[0] == texts[1]


async def test_a_socket_out_of_a_pool_is_configured_again_for_the_next_stream(
    agent: Agent,
) -> None:
    await agent.update(turn_detection=None)
    await agent.append(at_rate(load("city"), 24_000))
    await agent.commit()
    assert said("city", (await agent.until(COMPLETED))[-1].transcript)
    await agent.update(
        format={"type": "audio/pcm", "rate": 16000}, turn_detection={"type": "semantic_vad"}
    )
    await agent.append(silence(0.3) + load("bridge") + silence(1.5))
    events = await agent.until(COMPLETED)
    assert said("bridge", events[-1].transcript)
    assert events[0].type == STARTED


async def test_what_the_client_did_wrong_is_named_and_the_session_goes_on(agent: Agent) -> None:
    await agent.connection.send({"type": "response.create", "event_id": "mine"})
    error = (await agent.until("error", fatal=False))[-1].error
    assert (error.type, error.event_id) == ("invalid_request_error", "mine")
    await agent.connection.input_audio_buffer.append(audio="not base64!")
    assert (await agent.until("error", fatal=False))[-1].error.param == "audio"
    await agent.connection.input_audio_buffer.append(audio="A" * (2 << 20))
    assert (await agent.until("error", fatal=False))[-1].error.code == "event_too_large"
    await agent.update(turn_detection=None)
    await agent.append(at_rate(load("city"), 24_000))
    await agent.commit()
    assert said("city", (await agent.until(COMPLETED))[-1].transcript)
