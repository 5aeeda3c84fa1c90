"""Five kinds of client on one system, one of them corrupt: each hears only itself."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from typing import Any

from openai import AsyncOpenAI
from websockets.asyncio.client import connect as connect_websocket
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient

from common.client.stream import connect
from common.events import FullSentence
from common.wire import Metadata, build_message
from deploy.demo_parts import same_words
from tests.protocols.conftest import ApiSystem
from tests.protocols.test_deepgram import Listener, deepgram
from tests.speech import SENTENCES, load, silence

NAMES = ("bridge", "city", "garden", "music", "river")


async def openai_realtime(system: ApiSystem, name: str) -> str:
    async with (
        AsyncOpenAI(base_url=system.http, api_key="none") as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        audio_input = {"format": {"type": "audio/pcm", "rate": 16000}, "turn_detection": None}
        session: Any = {"type": "transcription", "audio": {"input": audio_input}}
        await connection.session.update(session=session)
        audio = load(name)
        for start in range(0, len(audio), 1600):
            piece = base64.b64encode(audio[start : start + 1600]).decode()
            await connection.input_audio_buffer.append(audio=piece)
        await connection.input_audio_buffer.commit()
        while True:
            event: Any = await connection.recv()
            assert event.type != "error", event
            if event.type.endswith("transcription.completed"):
                return str(event.transcript)


async def openai_file(system: ApiSystem, name: str) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(load(name) + silence(1))
    async with AsyncOpenAI(base_url=system.http, api_key="none") as client:
        answer = await client.audio.transcriptions.create(
            file=("a.wav", file.getvalue()), model="any"
        )
    return answer.text


async def deepgram_live(system: ApiSystem, name: str) -> str:
    async with deepgram(system).listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16000
    ) as socket:
        listener = Listener(socket)
        await listener.send(load(name))
        await socket.send_close_stream()
        await listener.until(lambda event: event.type == "Metadata")
    results = [event for event in listener.of("Results") if event.is_final]
    return " ".join(result.channel.alternatives[0].transcript for result in results)


async def wyoming(system: ApiSystem, name: str) -> str:
    async with AsyncTcpClient("127.0.0.1", system.wyoming_port) as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        audio = load(name)
        for start in range(0, len(audio), 2048):
            chunk = AudioChunk(16_000, 2, 1, audio[start : start + 2048])
            await client.write_event(chunk.event())
        await client.write_event(AudioStop().event())
        while (event := await client.read_event()) is not None:
            if Transcript.is_type(event.type):
                return Transcript.from_event(event).text
    raise AssertionError("no transcript came")


async def our_own(system: ApiSystem, name: str) -> str:
    async with connect(system.url) as stream:
        await stream.send(load(name))
        await stream.finish()
        return " ".join([e.text async for e in stream if isinstance(e, FullSentence)])


async def corrupt(system: ApiSystem) -> str:
    """RealtimeSTT's protocol, with a checksum that is wrong: rejected."""
    async with connect_websocket(system.url) as websocket:
        pcm = load("dog")[:8192]
        await websocket.send(build_message(Metadata(sample_rate=16_000, checksum=1), pcm))
        await websocket.wait_closed()
        return websocket.close_reason or ""


async def test_each_hears_only_itself(system: ApiSystem) -> None:
    kinds = (openai_realtime, openai_file, deepgram_live, wyoming, our_own)
    async with asyncio.timeout(120):
        *texts, reason = await asyncio.gather(
            *(kind(system, name) for kind, name in zip(kinds, NAMES, strict=True)),
            corrupt(system),
        )
    for kind, name, text in zip(kinds, NAMES, texts, strict=True):
        assert same_words(SENTENCES[name].recognised, text), kind
    assert "Connection rejected" in reason
