"""A file's way through a session: no faster than its window, whatever its length."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from common.errors import CloseCode
from common.events import Error, FullSentence
from common.wire import parse_message
from gateway.file_session import FileFailedError, FileSession, KeyEndedError, QuotaError
from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError, Utterance
from gateway.quotas import Spent
from gateway.upload_audio import Piece
from tests.faults.crowd import until

RATE_HZ = 8_000
SECOND = Piece(AudioFormat(Encoding.PCM16, RATE_HZ), bytes(2 * RATE_HZ))
WINDOW = 8


class FakeStream:
    """A session whose recorder takes what is in the window when the test says so."""

    def __init__(self, spent: Spent | None = None) -> None:
        self.window: list[bytes] = []
        self.samples = self.most = 0
        self.takes_audio = True
        self.finished = self.left = False
        self.has_quota = spent is not None
        self._spent = spent
        self.session: Any = type("Session", (), {"drained": True})

    @property
    def must_wait(self) -> bool:
        return len(self.window) >= WINDOW and self.takes_audio

    def accept(self, frame: bytes) -> None:
        self.window.append(frame)
        self.samples += len(parse_message(frame).pcm) // 2
        self.most = max(self.most, len(self.window))

    def spent(self) -> Spent:
        assert self._spent is not None
        return self._spent

    def finish(self) -> None:
        self.finished = True

    def leave(self, *, may_return: bool) -> None:
        self.left = True


class Upload:
    """A file that is being transcribed, second by second."""

    def __init__(self, seconds: int, spent: Spent | None = None) -> None:
        self.decoded = 0
        self.seconds = seconds
        self.stream = FakeStream(spent)
        self.session = FileSession("peer", "address")
        reception: Any = type("Reception", (), {"begin": lambda *_, **__: self.stream})()
        self.said = self.session.transcribe(reception, self._audio(), {})

    def _audio(self) -> Generator[Piece, None, None]:
        for _ in range(self.seconds):
            self.decoded += 1
            yield SECOND

    async def whole(self) -> list[Utterance]:
        async with asyncio.timeout(60):
            return [said async for said in self.said]

    def taken(self) -> None:
        """The recorder takes in what is in the window."""
        self.stream.window.clear()
        self.session.progress()


async def test_a_long_file_is_decoded_only_as_far_as_the_window_goes() -> None:
    """Ten minutes stand for any number of hours: what is held does not depend on it."""
    upload = Upload(600)
    transcribing = asyncio.create_task(upload.whole())
    await until(lambda: upload.stream.must_wait, "the window is full")
    farthest = 0
    while not upload.stream.finished:
        if upload.stream.must_wait:
            farthest = max(farthest, upload.decoded - upload.stream.samples // RATE_HZ)
            upload.taken()
        await asyncio.sleep(0)
    upload.session.deliver(FullSentence("All of it.", 0, 0, 600_000))
    upload.session.end(CloseCode.NORMAL, "")
    assert [said.text for said in await transcribing] == ["All of it."]
    assert upload.stream.samples == 600 * RATE_HZ
    assert upload.session.duration_ms == 600_000
    assert upload.stream.most <= WINDOW
    assert farthest <= 2  # the second that is being cut into frames, and the next
    assert upload.stream.left


async def test_who_gives_up_leaves_the_session_and_the_rest_undecoded() -> None:
    upload = Upload(600)
    transcribing = asyncio.create_task(upload.whole())
    await until(lambda: upload.stream.must_wait, "the window is full")
    transcribing.cancel()
    await asyncio.wait({transcribing})
    await upload.said.aclose()
    assert upload.stream.left
    assert upload.decoded < 10


async def test_a_session_that_ends_early_is_a_failure_with_its_reason() -> None:
    upload = Upload(600)
    transcribing = asyncio.create_task(upload.whole())
    await until(lambda: upload.stream.must_wait, "the window is full")
    upload.session.deliver(Error("key_revoked", "the key was revoked", "disconnect"))
    with pytest.raises(KeyEndedError, match="the key was revoked"):
        await transcribing
    assert upload.stream.left
    upload = Upload(600)
    transcribing = asyncio.create_task(upload.whole())
    await until(lambda: upload.stream.must_wait, "the window is full")
    upload.session.deliver(Error("displaced", "others need the place", "disconnect"))
    with pytest.raises(FileFailedError, match="others need the place"):
        await transcribing


async def test_a_key_that_may_send_no_more_is_a_failure_of_its_own() -> None:
    with pytest.raises(QuotaError, match="no more today"):
        await Upload(5, Spent(0.0, "no more today")).whole()


async def test_a_file_that_breaks_off_within_is_the_clients_fault() -> None:
    upload = Upload(0)

    def broken() -> Generator[Piece, None, None]:
        yield SECOND
        raise ProtocolError("the file breaks off")

    reception: Any = type("Reception", (), {"begin": lambda *_, **__: upload.stream})()
    with pytest.raises(ProtocolError, match="breaks off"):
        async for _ in upload.session.transcribe(reception, broken(), {}):
            pass
    assert upload.stream.left
