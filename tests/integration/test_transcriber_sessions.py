"""The transcriber's sessions and their results link: what is said in which order, and again."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from common import envelope
from common.links import Inbox, LinkEnd, Links, Parts
from common.recognition_settings import RecorderSettings
from common.settings import TranscriberSettings
from transcriber.engines.null import NullEngine
from transcriber.metrics import TranscriberMetrics
from transcriber.recorder import outputs
from transcriber.recorder.recorder import Recorder
from transcriber.results import ResultSender
from transcriber.scheduler import Scheduler
from transcriber.sessions import OpenSessions, Sessions

SESSION = b"s" * 16
FRAME_SAMPLES = 1_000
NO_COMMIT = envelope.Commit(0, 0, 0)


class StubRecorder:
    """Takes audio; its events are the test's to make."""

    def __init__(self, on_event: Callable[[outputs.RecorderOutput], None]) -> None:
        self.on_event = on_event

    def ask_for_room(self) -> bool:
        """There always is."""
        return True

    def feed(self, pcm16: bytes | memoryview) -> None:
        """Take audio."""

    def finish(self) -> None:
        """The stream ended."""

    def close(self) -> None:
        """There is nothing to close."""


class Transcriber:
    """Sessions with such recorders, and a gateway that keeps what they send."""

    def __init__(self, links: Links, endpoint: str) -> None:
        self.recorders: list[StubRecorder] = []
        self.heard: list[envelope.Message] = []
        self.may_make = threading.Event()
        self.may_make.set()
        self.scheduler = Scheduler(NullEngine())
        settings = TranscriberSettings()
        metrics = TranscriberMetrics()
        self.inbox = Inbox(links.open(LinkEnd.RESULTS_IN, endpoint), self._hear)
        open_sessions = OpenSessions()
        self.results = ResultSender(
            links.open(LinkEnd.RESULTS_OUT, endpoint), "t", open_sessions.ack_of, lambda: None
        )
        self.sessions = Sessions(
            settings, self.scheduler, metrics, "t", open_sessions, self.results, self._make
        )

    def _make(
        self,
        options: RecorderSettings,
        scheduler: Scheduler,
        session: str,
        on_event: Callable[[outputs.RecorderOutput], None],
        start_sample: int = 0,
    ) -> Recorder:
        assert self.may_make.wait(30)
        self.recorders.append(recorder := StubRecorder(on_event))
        return cast(Recorder, recorder)

    def _hear(self, messages: list[Parts]) -> None:
        self.heard += [envelope.unpack(parts[0]) for parts in messages]

    def start_opening(self, gateway: str = "g") -> asyncio.Future[envelope.Opened]:
        opened: asyncio.Future[envelope.Opened] = asyncio.get_running_loop().create_future()
        message = envelope.Open(gateway, SESSION, NO_COMMIT, 64, {}, epoch=1)
        self.sessions.open(message, opened.set_result)
        return opened

    def take_frame(self, seq: int) -> None:
        header = envelope.Audio(SESSION, seq, 16_000, False, 0)
        self.sessions.accept(header, bytes(2 * FRAME_SAMPLES))

    def close(self) -> None:
        self.inbox.close()
        self.sessions.close_all()
        self.results.close()
        self.scheduler.close()

    async def until_heard(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.005)


@pytest.fixture
async def transcriber() -> AsyncIterator[Transcriber]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        links = Links(TranscriberSettings())
        transcriber = Transcriber(links, f"ipc://{Path(folder, 'results.sock')}")
        yield transcriber
        transcriber.close()
        links.close_all()


def acks_of(messages: list[envelope.Message]) -> list[envelope.Ack]:
    return [ack for m in messages if isinstance(m, envelope.AckBatch) for ack in m.acks]


async def test_no_acknowledgement_carries_a_commit_ahead_of_its_sentence(
    transcriber: Transcriber,
) -> None:
    assert not (await transcriber.start_opening()).error
    transcriber.take_frame(0)  # its acknowledgement waits for others
    transcriber.recorders[0].on_event(outputs.RecordingText("one", 0, FRAME_SAMPLES))
    await transcriber.until_heard(
        lambda: any(isinstance(m, envelope.Sentence) for m in transcriber.heard)
    )
    at = next(n for n, m in enumerate(transcriber.heard) if isinstance(m, envelope.Sentence))
    sentence = transcriber.heard[at]
    assert isinstance(sentence, envelope.Sentence)
    assert sentence.commit == envelope.Commit(1, 0, FRAME_SAMPLES)
    before = acks_of(transcriber.heard[:at])
    assert [(ack.fed, ack.commit, ack.sentences) for ack in before] == [(1, NO_COMMIT, 0)]

    for _ in range(2):
        transcriber.sessions.repeat_acknowledgements()
    await transcriber.until_heard(lambda: acks_of(transcriber.heard[at:]))
    (after,) = acks_of(transcriber.heard[at:])
    assert (after.commit, after.sentences) == (sentence.commit, 1)


async def test_who_asks_again_whether_all_is_done_is_answered_again(
    transcriber: Transcriber,
) -> None:
    await transcriber.start_opening()
    finish = envelope.Finish(SESSION, 0)
    transcriber.sessions.finish(finish)
    transcriber.recorders[0].on_event(outputs.AllReported(0))

    def answers() -> int:
        return transcriber.heard.count(envelope.Drained("t", SESSION, 1))

    await transcriber.until_heard(lambda: answers() == 1)
    transcriber.sessions.finish(finish)
    await transcriber.until_heard(lambda: answers() == 2)


async def test_a_session_whose_gateway_died_before_it_was_open_is_dropped_too(
    transcriber: Transcriber,
) -> None:
    transcriber.may_make.clear()
    transcriber.start_opening("a gateway that dies")
    assert len(transcriber.sessions) == 1
    transcriber.sessions.drop_orphans(grace_s=-1.0)
    transcriber.may_make.set()
    async with asyncio.timeout(30):
        await transcriber.sessions.empty.wait()
    assert len(transcriber.sessions) == 0
