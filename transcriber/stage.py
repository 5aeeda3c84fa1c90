"""The transcriber's process: warms the engine, opens links, beats, drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import zmq

from common import envelope
from common.addresses import GatewayEndpoints, Names, split_endpoints, targets_of
from common.errors import EnvelopeError, SettingsError
from common.lifecycle import Lifecycle
from common.links import Inbox, LinkEnd, Links, Parts, sweep_dead_sockets
from common.logs import LogBudget
from common.periodic import every
from common.receiver import Receiver
from common.recognition_settings import EngineSettings
from common.run_folder import check_links
from common.settings import TranscriberSettings
from common.stamps import Hop, audio_is_as_stamped, sealed
from common.telemetry import Telemetry
from common.wire import MIN_SAMPLE_RATE_HZ
from transcriber.cpu_share import CpuShare
from transcriber.engine_client import EngineClient
from transcriber.engines import EngineError, Engines, create_engines
from transcriber.gateways import GatewayLinks
from transcriber.lag import Backlog, Lag
from transcriber.metrics import TranscriberMetrics
from transcriber.recorder.realtimestt_names import check_release
from transcriber.recorder.recorder import Recorder, preload
from transcriber.results import ResultSender
from transcriber.scheduler import Scheduler
from transcriber.sessions import SILENT_S, OpenSessions, RecorderFactory, Sessions

log = logging.getLogger(__name__)

ENGINE_BEAT_S: Final = 0.25
"""How often engine processes are looked for, told that we live, and given up."""


async def run(
    settings: TranscriberSettings,
    lifecycle: Lifecycle,
    create: Callable[[EngineSettings], Engines] = create_engines,
) -> None:
    """Transcribe until a stop is asked for.

    Args:
        create: loads and warms up the engines, where they run within.

    Raises:
        SettingsError: an endpoint or the engine cannot be had.
    """
    check_release()
    check_links(settings, "results")
    metrics = TranscriberMetrics()
    # Closed in reverse order: the loop must have let go of a socket before it is closed.
    async with contextlib.AsyncExitStack() as stack:
        links = Links(settings)
        stack.callback(links.close_all)
        names = Names()
        telemetry = Telemetry(
            settings, lifecycle, metrics.registry, remark=lambda: "; ".join(names.problems)
        )
        stack.callback(telemetry.close)
        if settings.engines_at:
            scheduler = await stack.enter_async_context(_remote(settings, links, metrics, names))
        else:
            scheduler = await _warm_up(settings, metrics, create)
        stack.callback(scheduler.close)
        stage = TranscriberStage(settings, lifecycle, links, metrics, scheduler, names=names)
        lifecycle.ready()
        await stage.live()


async def _warm_up(
    settings: TranscriberSettings,
    metrics: TranscriberMetrics,
    create: Callable[[EngineSettings], Engines],
) -> Scheduler:
    """Load the engines while RealtimeSTT is imported, both off the loop so that a stop is heard."""
    loop = asyncio.get_running_loop()
    engines = loop.run_in_executor(None, create, settings)
    await loop.run_in_executor(None, preload)
    try:
        main, realtime = await engines
    except EngineError as error:
        raise SettingsError(str(error)) from None
    return Scheduler(
        main,
        realtime,
        max_partial_cost_s=settings.max_partial_cost_s or math.inf,
        listeners=metrics.listeners,
    )


@contextlib.asynccontextmanager
async def _remote(
    settings: TranscriberSettings, links: Links, metrics: TranscriberMetrics, names: Names
) -> AsyncIterator[Scheduler]:
    """A scheduler over engine processes, once there is one.

    Raises:
        SettingsError: their endpoints cannot be used.
    """
    split_endpoints(settings.engines_at)
    client = EngineClient(
        f"{socket.gethostname()}-{os.getpid()}",
        links,
        lambda: engine_endpoints(settings, names),
        metrics.bad_envelopes.labels("engine").inc,
        metrics.lost,
        settings.engine_timeout_s,
        on_damage=metrics.damaged.labels(Hop.TEXTS).inc,
    )
    beats = asyncio.create_task(every(ENGINE_BEAT_S, client.beat, at_once=True))
    try:
        await asyncio.get_running_loop().run_in_executor(None, preload)
        if not client.heard.is_set():
            log.info("waiting for an engine process")
        await client.heard.wait()
        yield Scheduler.over(client)
    finally:
        beats.cancel()
        client.close_links()


def engine_endpoints(settings: TranscriberSettings, names: Names) -> list[str]:
    """Where engine processes are: those whose sockets are there, or those that were named.

    A host name may stand for several; while it is not known, for none.
    """
    if settings.engines_at != "run-dir":
        named = split_endpoints(settings.engines_at)
        found = [target for endpoint in named for target in targets_of(endpoint, names)]
        return list(dict.fromkeys(target.endpoint for target in found))
    sweep_dead_sockets(settings.run_path)
    return [f"ipc://{path}" for path in sorted(settings.run_path.glob("engine-*.sock"))]


class TranscriberStage:
    """One transcriber with its links open."""

    def __init__(
        self,
        settings: TranscriberSettings,
        lifecycle: Lifecycle,
        links: Links,
        metrics: TranscriberMetrics,
        scheduler: Scheduler,
        make_recorder: RecorderFactory = Recorder,
        names: Names | None = None,
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._scheduler = scheduler
        self._instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        sweep_dead_sockets(settings.run_path)
        self._audio = links.open(LinkEnd.AUDIO_IN, self._endpoint("audio", settings.audio))
        self._commands = links.open(
            LinkEnd.COMMANDS_IN, self._endpoint("commands", settings.commands)
        )
        self._engine_name = settings.engine_name
        open_sessions = self._open_sessions = OpenSessions()
        self._cpu = CpuShare(time.monotonic(), time.process_time())
        self._lag = Lag()
        self._results = GatewayLinks(
            links,
            GatewayEndpoints(settings, "results", names or Names()),
            lambda socket: ResultSender(
                socket, self._instance, open_sessions.ack_of, metrics.shed_events.inc
            ),
            open_sessions.link_of,
        )
        self.sessions = Sessions(
            settings,
            scheduler,
            metrics,
            self._instance,
            open_sessions,
            self._results,
            make_recorder,
        )
        bad = metrics.bad_envelopes
        self._audio_in = Receiver("audio", envelope.unpack_audio, bad.labels("audio").inc)
        self._commands_in = Receiver(
            "commands",
            envelope.unpack_commands,
            bad.labels("commands").inc,
            addressed=True,
            on_damage=metrics.damaged.labels(Hop.COMMANDS).inc,
        )
        metrics.capacity.set(settings.transcriber_sessions)
        metrics.watch_queue(scheduler.waiting)
        self._complaints = LogBudget(3, 0.1)
        self._stopping = asyncio.Event()
        lifecycle.on_drain(self._stopping.set)

    async def live(self) -> None:
        """Serve until a stop is asked for, then give the sessions time to end or to move."""
        inboxes = [
            Inbox(self._audio, self._on_audio),
            Inbox(self._commands, self._on_commands),
        ]
        self._command_inbox = inboxes[1]
        beats = asyncio.create_task(every(self._settings.heartbeat_s, self._beat, at_once=True))
        await self._stopping.wait()
        self._hello()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self.sessions.empty.wait()
        beats.cancel()
        for inbox in inboxes:
            inbox.close()
        await asyncio.get_running_loop().run_in_executor(None, self.sessions.close_all)
        self._results.close()

    def _endpoint(self, name: str, chosen: str) -> str:
        return chosen or f"ipc://{self._settings.run_path}/{name}-{self._instance}.sock"

    def _advertised(self, bound: zmq.Socket[bytes]) -> str:
        """What peers connect to: the bound endpoint, with this machine's name in place of any."""
        endpoint = bound.getsockopt_string(zmq.LAST_ENDPOINT)
        if not endpoint.startswith("tcp://"):
            return endpoint
        address, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        host = self._settings.advertise_host
        if not host:
            host = socket.gethostname() if address in ("0.0.0.0", "[::]") else address  # noqa: S104
        return f"tcp://{host}:{port}"

    # -- links ---------------------------------------------------------------------------------

    def _on_audio(self, messages: list[Parts]) -> None:
        for batch, pcms in self._audio_in.bundles(messages, envelope.frame_count):
            for header, pcm in zip(batch.frames, pcms, strict=True):
                self._on_frame(header, pcm)

    def _on_frame(self, header: envelope.Audio, pcm: bytes) -> None:
        try:
            check_pcm(header, pcm)
        except EnvelopeError as error:
            self._audio_in.drop(error)
            return
        if audio_is_as_stamped(header, pcm):
            self.sessions.accept(header, pcm)
        else:  # the gateway, which gets no acknowledgement, sends the frame again
            self._metrics.damaged.labels(Hop.AUDIO).inc()
            if self._complaints.allow(time.monotonic()):
                log.error("frame %d was damaged between verifier and transcriber", header.seq)

    def _on_commands(self, messages: list[Parts]) -> None:
        for letter in self._commands_in.letters(messages):
            self._on_command(letter.sender, letter.message)

    def _on_command(self, peer: bytes, message: envelope.CommandsMessage) -> None:
        match message:
            case envelope.Open():
                self.sessions.open(message, lambda opened: self._reply(peer, opened))
            case envelope.Close():
                self.sessions.close(message.session)
            case envelope.Finish():
                self.sessions.finish(message)
            case envelope.Ping():
                self.sessions.ping(message, lambda opened: self._reply(peer, opened))
            case envelope.SetParameter() | envelope.GetParameter() | envelope.CallMethod():
                self._reply(peer, self.sessions.command(message))

    def _reply(self, peer: bytes, message: envelope.Message) -> None:
        # A gateway that is gone (unroutable) or does not read (again) does without.
        with contextlib.suppress(zmq.ZMQError):
            parts = (peer, *sealed(envelope.pack(message)))
            self._commands.send_multipart(parts, zmq.NOBLOCK)
        self._command_inbox.poke()

    # -- time ----------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._hello()
        self.sessions.repeat_acknowledgements()
        # Who leaves waits for nobody who is gone.
        leaving_s = min(SILENT_S, self._settings.session_grace_s)
        self.sessions.drop_orphans(leaving_s if self._stopping.is_set() else None)
        self.sessions.tidy_taps()

    def _hello(self) -> None:
        self._results.look(time.monotonic())
        now_s = time.monotonic()
        lag_s = self._lag.look(
            (
                Backlog(key, s.recorder.fed_s, s.recorder.waiting_s)
                for key, s in self._open_sessions.items()
            ),
            now_s,
        )
        self._metrics.lag.set(lag_s)
        cores = self._cpu.look(now_s, time.process_time())
        self._results.hello(
            lambda link: envelope.TranscriberHello(
                instance=self._instance,
                pid=os.getpid(),
                audio_endpoint=self._advertised(self._audio),
                commands_endpoint=self._advertised(self._commands),
                engine=self._engine_name,
                sessions=len(self.sessions),
                max_sessions=self.sessions.capacity,
                draining=self._lifecycle.draining,
                results=link,
                final_wait_s=self._scheduler.wait_s(),
                cores=cores,
                lag_s=lag_s,
            )
        )


def check_pcm(header: envelope.Audio, pcm: bytes) -> None:
    """See that a frame comes with whole samples, and samples with their rate.

    Raises:
        EnvelopeError: it does not.
    """
    if len(pcm) % 2:
        raise EnvelopeError("audio whose part is not int16")
    if (pcm or header.hole_samples) and header.sample_rate_hz < MIN_SAMPLE_RATE_HZ:
        raise EnvelopeError(f"audio at {header.sample_rate_hz} Hz")
