"""One file on its way through the pipeline: a session that no connection waits on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping

from common.api_keys import ApiKey
from common.errors import CloseCode
from common.wire import Parameter
from gateway.heard import Ear
from gateway.outbox import Queued
from gateway.protocols.audio import FrameMaker
from gateway.protocols.base import Refused, Utterance
from gateway.reception import Reception, Stream
from gateway.upload_audio import Piece


class FileFailedError(Exception):
    """The server could not transcribe the file to its end."""


class QuotaError(Exception):
    """The client's key may send no more."""


class KeyEndedError(Exception):
    """The client's key was revoked or is expired."""


class FileSession:
    """Streams a file as a client would, and yields what was said; a client of the gateway.

    Args:
        peer, address: of who sent the file, for the log.
        key: that it came with.

    Attributes:
        duration_ms: of the audio so far.
    """

    def __init__(self, peer: str, address: str, key: ApiKey | None = None) -> None:
        self.peer = peer
        self.address = address
        self.duration_ms = 0.0
        self._key = key
        self._ear = Ear()
        self._said: asyncio.Queue[Utterance | Exception | None] = asyncio.Queue()
        self._progress = asyncio.Event()
        self._stream: Stream | None = None

    # -- a client of the gateway ---------------------------------------------------------------

    def deliver(self, event: Queued) -> None:
        """Keep what was said; a file has few utterances, and they are short."""
        match self._ear.hear(event):
            case Utterance() as said:
                self._said.put_nowait(said)
            case Refused(code="key_revoked", message=message):
                self._said.put_nowait(KeyEndedError(message))
            case Refused(message=message):
                self._said.put_nowait(FileFailedError(message))

    def end(self, code: CloseCode, reason: str) -> None:
        """The session is done with."""
        is_whole = self._stream is not None and self._stream.session.drained
        self._said.put_nowait(None if is_whole else FileFailedError(reason))
        self._progress.set()

    def progress(self) -> None:
        """Let the feeder look again."""
        self._progress.set()

    # -- the file ------------------------------------------------------------------------------

    async def transcribe(
        self,
        reception: Reception,
        audio: Generator[Piece, None, None],
        parameters: Mapping[str, Parameter],
    ) -> AsyncGenerator[Utterance, None]:
        """All utterances, in order, empty ones included, each as soon as it is known.

        Args:
            audio: the file's; it is read on another thread, since decoding takes time.

        Raises:
            BusyError: there is no room for a session.
            CommandError: a parameter has a value that cannot be.
            ProtocolError: the file cannot be read.
            FileFailedError: the server cannot go on.
            QuotaError: the key may send no more today.
            KeyEndedError: the key is no more.
        """
        stream = self._stream = reception.begin(self, wants_utterances=True, key=self._key)
        feeder: asyncio.Task[None] | None = None
        try:
            for name, value in parameters.items():
                stream.set_parameter(name, value)
            feeder = asyncio.create_task(self._feed(stream, audio), name=f"file of {self.peer}")
            while (said := await self._said.get()) is not None:
                if isinstance(said, Exception):
                    raise said
                if said.error:
                    raise FileFailedError(said.error)
                yield said
        finally:
            stream.leave(may_return=False)
            if feeder is not None:
                feeder.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await feeder

    async def _feed(self, stream: Stream, audio: Generator[Piece, None, None]) -> None:
        try:
            maker: FrameMaker | None = None
            while (piece := await _next_piece(audio)) is not None:
                if maker is None:
                    maker = FrameMaker(piece.format)
                frames = maker.change(piece.format) + maker.take(piece.data)
                await self._pass_on(stream, frames)
                self.duration_ms = maker.position_ms
            if maker is not None:
                await self._pass_on(stream, maker.flush())
            if stream.takes_audio:
                stream.finish()
        except Exception as error:  # of whatever kind, or its reader would wait for ever
            self._said.put_nowait(error)

    async def _pass_on(self, stream: Stream, frames: list[bytes]) -> None:
        for frame in frames:
            if not stream.takes_audio:
                return
            stream.accept(frame)
            while stream.must_wait:
                self._progress.clear()
                await self._progress.wait()
            if stream.has_quota:
                spent = stream.spent()
                if spent.refused:
                    raise QuotaError(spent.refused)
                await asyncio.sleep(spent.pause_s)


async def _next_piece(audio: Generator[Piece, None, None]) -> Piece | None:
    """Decode on another thread; given up, wait for it: the file that it reads is closed next."""
    step = asyncio.ensure_future(asyncio.to_thread(next, audio, None))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await asyncio.wait({step})
        raise
