"""Verifiers and transcribers die under standard clients, who notice nothing but a delay."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from openai import AsyncOpenAI

from deploy.demo_parts import same_words
from tests.protocols.conftest import ApiSystem
from tests.protocols.test_deepgram import Listener, deepgram
from tests.speech import SENTENCES, load, silence

pytestmark = pytest.mark.faults

NAMES = ("bridge", "city", "garden")
COMPLETED = "conversation.item.input_audio_transcription.completed"


class Half:
    """Lets all clients stop in the middle of a sentence until something died."""

    def __init__(self, clients: int) -> None:
        self.reached = asyncio.Barrier(clients + 1)
        self.goes_on = asyncio.Barrier(clients + 1)

    async def wait(self) -> None:
        await self.reached.wait()
        await self.goes_on.wait()


def pieces() -> list[bytes]:
    """Three sentences, in pieces of 50 ms."""
    audio = b"".join(load(name) + silence(1.2) for name in NAMES)
    return [audio[start : start + 1600] for start in range(0, len(audio), 1600)]


async def openai_vad(system: ApiSystem, half: Half) -> list[str]:
    async with (
        AsyncOpenAI(base_url=system.http, api_key="none") as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        audio_input = {"format": {"type": "audio/pcm", "rate": 16000}}
        session: Any = {"type": "transcription", "audio": {"input": audio_input}}
        await connection.session.update(session=session)
        all_pieces = pieces()
        for number, piece in enumerate(all_pieces):
            if number == len(all_pieces) // 2:
                await half.wait()
            await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
        events: list[Any] = []
        while sum(event.type == COMPLETED for event in events) < len(NAMES):
            events.append(await connection.recv())
            assert events[-1].type != "error", events[-1]
    started = [e.item_id for e in events if e.type == "input_audio_buffer.speech_started"]
    done = [e for e in events if e.type == COMPLETED]
    assert [event.item_id for event in done] == started, "no item twice, none made up"
    return [event.transcript for event in done]


async def openai_manual(system: ApiSystem, half: Half) -> list[str]:
    async with (
        AsyncOpenAI(base_url=system.http, api_key="none") as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        audio_input = {"format": {"type": "audio/pcm", "rate": 16000}, "turn_detection": None}
        session: Any = {"type": "transcription", "audio": {"input": audio_input}}
        await connection.session.update(session=session)
        for name in NAMES:
            audio = load(name)
            middle = len(audio) // 4 * 2
            for number, part in enumerate((audio[:middle], audio[middle:])):
                if name == NAMES[1] and number:
                    await half.wait()
                await connection.input_audio_buffer.append(audio=base64.b64encode(part).decode())
            await connection.input_audio_buffer.commit()
        texts: list[str] = []
        while len(texts) < len(NAMES):
            event: Any = await connection.recv()
            assert event.type != "error", event
            if event.type == COMPLETED:
                texts.append(event.transcript)
    return texts


async def deepgram_live(system: ApiSystem, half: Half) -> list[str]:
    async with deepgram(system).listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16000, endpointing="500"
    ) as socket:
        listener = Listener(socket)
        all_pieces = pieces()
        for number, piece in enumerate(all_pieces):
            if number == len(all_pieces) // 2:
                await half.wait()
            await listener.send(piece)
        await socket.send_close_stream()
        await listener.until(lambda event: event.type == "Metadata")
    finals = [event for event in listener.of("Results") if event.is_final]
    ends = [final.start + final.duration for final in finals]
    assert ends == sorted(set(ends))
    return [text for final in finals if (text := final.channel.alternatives[0].transcript)]


async def test_nothing_is_lost_and_nothing_comes_twice(system: ApiSystem) -> None:
    """A verifier and the one transcriber are killed while all clients are within a sentence."""
    kinds = (openai_vad, openai_manual, deepgram_live)
    half = Half(len(kinds))

    async def kill() -> None:
        await half.reached.wait()
        system.verifiers[0].replace()
        system.transcribers[0].replace()
        await half.goes_on.wait()

    async with asyncio.timeout(150), asyncio.TaskGroup() as group:
        talking = [group.create_task(kind(system, half)) for kind in kinds]
        group.create_task(kill())
    heard = [task.result() for task in talking]
    await asyncio.to_thread(system.wait_ready)
    for kind, texts in zip(kinds, heard, strict=True):
        assert len(texts) == len(NAMES), kind
        for name, text in zip(NAMES, texts, strict=True):
            assert same_words(SENTENCES[name].recognised, text), kind
