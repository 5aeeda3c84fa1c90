"""The ``openai`` package: files in, transcripts out in every form."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import av
import httpx
import numpy as np
import pytest
from openai import APIStatusError, AsyncOpenAI

from deploy.demo_parts import same_words
from tests.faults.crowd import until
from tests.protocols.conftest import ApiSystem
from tests.protocols.m4a import BOMB
from tests.speech import SENTENCES, load, silence

BRIDGE = SENTENCES["bridge"]
CITY = SENTENCES["city"]


def wav(*parts: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(b"".join(parts))
    return file.getvalue()


ONE = wav(load("city"), silence(1))
TWO = wav(silence(0.5), load("bridge"), silence(1.5), load("city"), silence(0.5))


@pytest.fixture
async def client(system: ApiSystem) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=system.http, api_key="none", max_retries=0) as client:
        yield client


async def transcribed(client: AsyncOpenAI, file: bytes = ONE, **fields: Any) -> Any:
    return await client.audio.transcriptions.create(
        file=("speech.wav", file), model="whisper-1", **fields
    )


async def test_json_and_text(client: AsyncOpenAI) -> None:
    answer = await transcribed(client, language="en", prompt="names", temperature=0)
    assert same_words(CITY.recognised, answer.text)
    assert answer.usage.seconds == pytest.approx((len(ONE) - 44) / 32_000, abs=0.01)
    assert same_words(CITY.recognised, await transcribed(client, response_format="text"))


async def test_segments_and_subtitles_say_when_each_sentence_was(client: AsyncOpenAI) -> None:
    answer = await transcribed(
        client,
        TWO,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    first, second = answer.segments
    assert same_words(answer.text, " ".join(word.word for word in answer.words))
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0.4 <= times[0] <= 1.5
    city_s = 0.5 + BRIDGE.duration_s + 1.5
    begins = [word.start for word in answer.words if word.start >= city_s - 0.1]
    assert len(begins) == len(second.text.split())
    assert same_words(BRIDGE.recognised, first.text)
    pause_s = 0.5 + BRIDGE.duration_s
    assert first.start <= 0.5
    assert pause_s <= first.end <= pause_s + 1.5
    assert first.end <= second.start <= pause_s + 1.5
    assert second.end <= answer.duration + 1

    vtt = await transcribed(client, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:0")
    srt = await transcribed(client, response_format="srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:0")
    assert same_words(CITY.recognised, srt.splitlines()[2])


async def test_a_stream_gives_each_sentence_as_soon_as_it_is_known(client: AsyncOpenAI) -> None:
    stream = await transcribed(client, TWO, stream=True)
    events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds == ["transcript.text.delta", "transcript.text.delta", "transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text


async def test_what_telephones_record(client: AsyncOpenAI) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream: Any = output.add_stream("aac", rate=48_000, layout="mono")
        samples = np.frombuffer(load("bridge") + silence(1), "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    assert same_words(BRIDGE.recognised, (await transcribed(client, file.getvalue())).text)


async def test_the_models_are_what_runs(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["pocketsphinx"]


@pytest.mark.parametrize(
    "file, fields, status, param",
    [
        (b"no audio", {}, 400, "file"),
        (BOMB, {}, 400, "file"),
        (TWO, {"response_format": "diarized_json"}, 400, "response_format"),
        (TWO, {"language": "not a language!"}, 400, "language"),
        (bytes(9_000_000), {}, 413, "file"),
    ],
)
async def test_what_cannot_be_is_refused_in_the_protocols_own_words(
    client: AsyncOpenAI, file: bytes, fields: dict[str, Any], status: int, param: str
) -> None:
    with pytest.raises(APIStatusError) as error:
        await transcribed(client, file, **fields)
    assert error.value.status_code == status
    assert error.value.body["param"] == param  # type: ignore[index]


async def test_a_form_without_a_file_and_other_paths(system: ApiSystem) -> None:
    async with httpx.AsyncClient(base_url=system.http) as http:
        answer = await http.post("/audio/transcriptions", data={"model": "whisper-1"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
        answer = await http.post("/audio/translations", data={"model": "whisper-1"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_a_client_that_goes_away_leaves_nothing_behind(
    client: AsyncOpenAI, system: ApiSystem
) -> None:
    minutes = wav(*[load("bridge") + silence(1)] * 40)
    with pytest.raises(httpx.TimeoutException):
        async with httpx.AsyncClient(base_url=system.http, timeout=1) as http:
            await http.post("/audio/transcriptions", files={"file": minutes})
    await until(lambda: system.metrics()["sessions"] == 0, "the session is gone")
    assert (await transcribed(client)).text
