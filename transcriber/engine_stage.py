"""An engine process: owns the models, and serves any number of transcribers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import secrets
import socket
from collections.abc import Callable

import numpy as np
import zmq

from common import envelope
from common.errors import EnvelopeError, SettingsError
from common.lifecycle import Lifecycle
from common.links import Inbox, LinkEnd, Links, Parts, sweep_dead_sockets
from common.receiver import Receiver
from common.recognition_settings import EngineSettings
from common.settings import EngineStageSettings
from common.stamps import sealed
from common.telemetry import Telemetry
from transcriber.batch_metrics import EngineMetrics
from transcriber.engines import EngineError, Engines, create_engines
from transcriber.engines.base import AudioRequest, Features, Transcript
from transcriber.executors import TranscriptFuture
from transcriber.schedule import Kind, QueueFullError
from transcriber.scheduler import Scheduler

log = logging.getLogger(__name__)

Asked = tuple[bytes, int]
"""Who asked, and its number of the request."""


async def run(
    settings: EngineStageSettings,
    lifecycle: Lifecycle,
    create: Callable[[EngineSettings], Engines] = create_engines,
) -> None:
    """Serve until a stop is asked for.

    Args:
        create: loads and warms up the engines.

    Raises:
        SettingsError: an endpoint or the engine cannot be had.
    """
    metrics = EngineMetrics()
    with contextlib.ExitStack() as stack:
        links = Links(settings)
        stack.callback(links.close_all)
        telemetry = Telemetry(settings, lifecycle, metrics.registry)
        stack.callback(telemetry.close)
        try:
            engines = await asyncio.get_running_loop().run_in_executor(None, create, settings)
        except EngineError as error:
            raise SettingsError(str(error)) from None
        scheduler = Scheduler(
            *engines,
            max_partial_cost_s=settings.max_partial_cost_s or math.inf,
            listeners=metrics.listeners,
        )
        stack.callback(scheduler.close)
        stage = EngineStage(settings, lifecycle, links, metrics, scheduler, engines)
        lifecycle.ready()
        await stage.live()


class EngineStage:
    """One engine process with its link open."""

    def __init__(
        self,
        settings: EngineStageSettings,
        lifecycle: Lifecycle,
        links: Links,
        metrics: EngineMetrics,
        scheduler: Scheduler,
        engines: Engines,
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._scheduler = scheduler
        self._engine = engines.final
        self._instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        sweep_dead_sockets(settings.run_path)
        ours = f"ipc://{settings.run_path}/engine-{self._instance}.sock"
        self._socket = links.open(LinkEnd.ENGINE_IN, settings.engine_endpoint or ours)
        self._receiver = Receiver(
            "engine",
            envelope.unpack_engine,
            metrics.bad_envelopes.labels("engine").inc,
            addressed=True,
            check=check_audio,
            on_damage=metrics.damaged.inc,
        )
        self._under_way: dict[Asked, TranscriptFuture] = {}
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        lifecycle.on_drain(self._stopping.set)

    async def live(self) -> None:
        """Serve until a stop is asked for, then answer what is under way."""
        self._inbox = Inbox(self._socket, self._on_messages)
        await self._stopping.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                while self._under_way:  # noqa: ASYNC110 - a few looks at the end of a process
                    await asyncio.sleep(0.05)
        self._inbox.close()

    def _on_messages(self, messages: list[Parts]) -> None:
        for letter in self._receiver.letters(messages):
            peer = letter.sender
            match letter.message:
                case envelope.Transcribe() as asked:
                    self._transcribe(peer, asked, letter.payload)
                case envelope.Promote(request=request):
                    if (future := self._under_way.get((peer, request))) is not None:
                        self._scheduler.promote(future)
                case envelope.Withdraw(request=request):
                    if (future := self._under_way.pop((peer, request), None)) is not None:
                        future.cancel()
                case envelope.EnginePing():
                    self._hello(peer)

    def _transcribe(self, peer: bytes, asked: envelope.Transcribe, payload: bytes) -> None:
        key = (peer, asked.request)
        if key in self._under_way:
            return
        kind = Kind(asked.request_kind)
        # Numbers of requests are a transcriber's own, and so are the names of its sessions.
        session = f"{peer.hex()}/{asked.session}"
        try:
            future = self._scheduler.submit(session, kind, request_of(asked, payload))
        except QueueFullError as error:
            self._send(peer, envelope.Transcribed(asked.request, "", error=str(error)))
            return
        self._under_way[key] = future
        self._metrics.requests.labels(kind.name.lower()).inc()
        future.add_done_callback(lambda done: self._on_loop(key, future))

    def _on_loop(self, key: Asked, future: TranscriptFuture) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._answer, key, future)

    def _answer(self, key: Asked, future: TranscriptFuture) -> None:
        if self._under_way.get(key) is not future:
            return
        del self._under_way[key]
        peer, request = key
        if future.cancelled():
            self._send(peer, envelope.Transcribed(request, "", error="another took its place"))
        elif (error := future.exception()) is not None:
            text = str(error) or type(error).__name__
            self._send(peer, envelope.Transcribed(request, "", error=text[:10_000]))
        else:
            self._send(peer, _answer(request, future.result()))

    def _hello(self, peer: bytes) -> None:
        wait_s = self._scheduler.wait_s()
        self._metrics.wait.set(wait_s)
        self._send(
            peer,
            envelope.EngineHello(
                instance=self._instance,
                pid=os.getpid(),
                engine=self._engine.name,
                concurrency=self._engine.concurrency,
                wait_s=wait_s,
                feature_bins=getattr(self._engine, "feature_bins", 0),
            ),
        )

    def _send(self, peer: bytes, message: envelope.AnswersMessage) -> None:
        # A transcriber that is gone (unroutable) or does not read (again) does without.
        with contextlib.suppress(zmq.ZMQError):
            parts = (peer, *sealed(envelope.pack(message)))
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        self._inbox.poke()


def check_audio(message: envelope.EngineMessage, payload: bytes | None) -> None:
    """See that a request comes with its samples and features.

    Raises:
        EnvelopeError: it does not.
    """
    if not isinstance(message, envelope.Transcribe):
        return
    size = -1 if payload is None else len(payload) - 2 * message.samples
    row = 4 * message.feature_bins
    if size < 0 or (size != 0 if row == 0 else size % row or not size):
        raise EnvelopeError("a request whose audio has another length than it says")


def request_of(asked: envelope.Transcribe, payload: bytes) -> AudioRequest:
    """What an engine is asked, out of a message whose payload was checked."""
    pcm = np.frombuffer(payload, "<i2", asked.samples)
    features: Features | None = None
    if asked.feature_bins:
        values = np.frombuffer(payload, np.float32, offset=2 * asked.samples)
        features = values.reshape(asked.feature_bins, -1)
    return AudioRequest(
        pcm.astype(np.float32) / np.float32(32768),
        asked.language or None,
        asked.use_prompt,
        asked.request_kind == Kind.REALTIME,
        asked.word_timestamps,
        features,
    )


def _answer(request: int, transcript: Transcript) -> envelope.Transcribed:
    return envelope.Transcribed(
        request,
        transcript.text,
        transcript.info.language or "",
        transcript.info.language_probability,
        metadata=json.dumps(dict(transcript.metadata)) if transcript.metadata else "",
    )
