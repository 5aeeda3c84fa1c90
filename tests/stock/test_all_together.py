"""All stock clients and eight of our own at once: each hears only itself."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from common.client.stream import connect as connect_ours
from common.events import FullSentence, Realtime, Report, TranscriptionStart
from tests.browser.chromium import chromium, executable, pages
from tests.browser.recordings import record
from tests.faults.system import System
from tests.speech import load, silence
from tests.stock.conftest import Connect
from tests.stock.listening import is_audio_of, is_heard, samples_of
from tests.stock.stock_client import GREETING
from tests.stock.stt_command import SttCommand, check_no_complaint, running, texts

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stock")]

STOCK_CONTROL: Final = "ws://127.0.0.1:8011"
STOCK_DATA: Final = "ws://127.0.0.1:8012"
STOCK: Final = ("bread", "train")
COMMAND: Final = "garden"
PAGE: Final = "ship"
OURS: Final = ("book", "bridge", "city", "dog", "mountains", "numbers", "prices", "river")


class Heard(NamedTuple):
    """What one of our clients got."""

    sentences: list[str]
    partials: list[str]
    audios: list[bytes]
    report: Report | None
    frames: int


async def stream(url: str, name: str) -> Heard:
    """Say one sentence in real time."""
    sentences, partials, audios = [], [], []
    pcm = silence(0.3) + load(name) + silence(1.2)
    async with connect_ours(url, chunk_samples=1024) as ours:
        for start in range(0, len(pcm), 2048):
            await ours.send(pcm[start : start + 2048])
            await asyncio.sleep(1024 / 16_000)  # as a microphone does
        report = await ours.finish(idle_timeout_s=120)
        frames = ours.frames
        async for event in ours:
            match event:
                case FullSentence(text=text):
                    sentences.append(text)
                case Realtime(text=text):
                    partials.append(text)
                case TranscriptionStart(audio_bytes_base64=audio):
                    audios.append(base64.b64decode(audio))
                case _:
                    pass
    return Heard(sentences, partials, audios, report, frames)


async def stream_all(url: str) -> dict[str, Heard]:
    """All of our clients at once."""
    heard = await asyncio.gather(*(stream(url, name) for name in OURS))
    return dict(zip(OURS, heard, strict=True))


@contextmanager
def page_of(system: System, folder: Path) -> Iterator[Page | None]:
    """The stock page as its users open it, from a file, with a microphone; None without a browser.

    Only the ports differ.
    """
    if executable() is None:
        yield None
        return
    copy = folder / "index.html"
    spec = importlib.util.find_spec("RealtimeSTT_server")  # found without importing it
    assert spec is not None
    assert spec.submodule_search_locations is not None
    original = (Path(spec.submodule_search_locations[0]) / "index.html").read_text("utf-8")
    assert STOCK_DATA in original
    text = original.replace(STOCK_CONTROL, f"ws://127.0.0.1:{system.control_port}")
    copy.write_text(text.replace(STOCK_DATA, system.url), encoding="utf-8")
    with chromium() as running, pages(running) as opened:
        yield opened.open(copy.as_uri(), microphone=record(folder, PAGE).path)
        assert opened.complaints == []


def test_everyone_hears_only_itself(system: System, connect: Connect, tmp_path: Path) -> None:
    clients = {name: connect(name) for name in STOCK}
    with (
        running(SttCommand(system, tmp_path / COMMAND)) as command,
        page_of(system, tmp_path) as page,
        ThreadPoolExecutor(1) as threads,
    ):
        calls = {name: client.wait_ready().begin_text() for name, client in clients.items()}
        command.wait_listening()

        ours = threads.submit(asyncio.run, stream_all(system.url))
        for name, client in clients.items():
            client.microphone.hear(silence(0.3) + load(name))
        command.microphone.hear(silence(0.3) + load(COMMAND))
        if page is not None:
            page.click("#startButton")

        for name, client in clients.items():
            text = client.end(calls[name]).value
            assert is_heard(name, text), (name, text)
            client.wait_for(lambda c: "transcription_start" in c.names, "the audio has come")
            assert [is_audio_of(name, audio) for audio in client.audios] == [True]
            assert client.printed == GREETING

        assert command.wait() == 0
        [text] = texts(command.stdout)
        assert is_heard(COMMAND, text), text
        check_no_complaint(command)

        for name, heard in ours.result(120).items():
            assert [is_heard(name, text) for text in heard.sentences] == [True], (name, heard)
            assert [is_audio_of(name, samples_of(pcm)) for pcm in heard.audios] == [True], name
            assert heard.report is not None
            assert (heard.report.ok, heard.report.corrupt) == (heard.frames, 0)

        if page is None:
            pytest.skip("all passed, but without the stock page: no Chromium is installed")
        expect(page.locator("#fullText")).not_to_be_empty(timeout=60_000)
        assert is_heard(PAGE, page.inner_text("#fullText")), page.inner_text("#fullText")
