"""The sessions of one transcriber: opened and closed by gateways, fed by verifiers.

Runs on the event loop's thread. Recorders are made and dropped on one worker thread, since that
takes a while; their events come back to the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from common import envelope
from common.errors import CommandError
from common.recognition_settings import RecorderSettings
from common.settings import TranscriberSettings
from transcriber.gateways import Results
from transcriber.intake import Intake
from transcriber.latency import SpeechLatency
from transcriber.metrics import TranscriberMetrics
from transcriber.recorder import outputs
from transcriber.recorder.recorder import Recorder
from transcriber.recorder_maker import NoRecorderError, RecorderMaker
from transcriber.repetition import Repetition
from transcriber.resequencer import Arrival
from transcriber.scheduler import Scheduler
from transcriber.tap import Tap
from transcriber.tap_folder import taps_of

log = logging.getLogger(__name__)

SILENT_S: Final = 3.0
"""A gateway silent for this long keeps nobody out: its sessions go when there is no other room."""


class RecorderFactory(Protocol):
    """Makes a session's recorder; :class:`transcriber.recorder.Recorder` is one."""

    def __call__(
        self,
        options: RecorderSettings,
        scheduler: Scheduler,
        session: str,
        on_event: Callable[[outputs.RecorderOutput], None],
        start_sample: int = 0,
    ) -> Recorder:
        """A recorder that waits for audio."""
        ...


class OpenSession:
    """A session that has its recorder."""

    def __init__(self, opened: envelope.Open, recorder: Recorder, tap: Tap | None) -> None:
        self.gateway = opened.gateway
        self.results = opened.results
        self.epoch = opened.epoch
        self.recorder = recorder
        self.tap = tap
        self.sentences = 0
        self.drained = False
        self.latency = SpeechLatency()
        self.intake = Intake(opened, recorder, tap.write if tap else None)

    def close(self) -> None:
        """Drop its recorder; takes a while."""
        self.recorder.close()
        if self.tap is not None:
            self.tap.close()


class OpenSessions(dict[bytes, OpenSession]):
    """The sessions that have a recorder, by id."""

    def ack_of(self, key: bytes) -> envelope.Ack | None:
        """The present acknowledgement of a session."""
        session = self.get(key)
        return session.intake.ack(session.sentences) if session else None

    def link_of(self, key: bytes) -> str:
        """By which link the gateway of a session hears this process; "" if it did not say."""
        session = self.get(key)
        return session.results if session else ""


class Sessions:
    """All sessions of this process, by id.

    Args:
        open_sessions: those that have a recorder; this is who changes it.
        results: takes what is to be told to the gateway.
    """

    def __init__(
        self,
        settings: TranscriberSettings,
        scheduler: Scheduler,
        metrics: TranscriberMetrics,
        instance: str,
        open_sessions: OpenSessions,
        results: Results,
        make_recorder: RecorderFactory = Recorder,
    ) -> None:
        self._settings = settings
        self._taps = taps_of(settings)
        self._scheduler = scheduler
        self._metrics = metrics
        self._instance = instance
        self._make_recorder = make_recorder
        self._arrivals = {arrival: metrics.frames.labels(arrival.value) for arrival in Arrival}
        self._loop = asyncio.get_running_loop()
        self._open = open_sessions
        self._results = results
        self._opening: dict[bytes, envelope.Open] = {}
        self._heard_s: dict[str, float] = {}
        self._repetition: Repetition[bytes] = Repetition()
        self._maker: RecorderMaker[OpenSession] = RecorderMaker(
            settings.transcriber_sessions, metrics.failed_recorders.inc, metrics.closing.set
        )
        self._generation = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def __len__(self) -> int:
        return len(self._open) + len(self._opening)

    @property
    def capacity(self) -> int:
        """Sessions that there is room for, those that are here included."""
        return len(self) if self._maker.obstacle() else self._settings.transcriber_sessions

    # -- commands ------------------------------------------------------------------------------

    def open(self, opened: envelope.Open, reply: Callable[[envelope.Opened], None]) -> None:
        """Make a session's recorder, then ``reply``; one that is open is answered at once."""
        self._heard_s[opened.gateway] = time.monotonic()
        key, epoch = opened.session, opened.epoch
        known = self._open.get(key) or self._opening.get(key)
        if known is not None and known.epoch >= epoch:
            if key in self._open and known.epoch == epoch:
                reply(envelope.Opened(self._instance, key, epoch=epoch))
            return
        if known is not None:  # the gateway has given this recorder up
            self.close(key)
        if len(self) >= self._settings.transcriber_sessions:
            self.drop_orphans(min(SILENT_S, self._settings.session_grace_s))
        obstacle = self._maker.obstacle()
        if len(self) >= self._settings.transcriber_sessions:
            obstacle = f"full: {len(self)} sessions"
        if obstacle:
            reply(envelope.Opened(self._instance, key, obstacle, epoch))
            return
        self._opening[key] = opened
        self.empty.clear()
        self._loop.create_task(self._make(opened, reply))

    async def _make(self, opened: envelope.Open, reply: Callable[[envelope.Opened], None]) -> None:
        key = opened.session
        self._generation += 1
        # A name of its own for each recorder: a session may be closed and opened here again.
        name = f"{key.hex()[:8]}-{self._generation}"
        try:
            session = await self._maker.make(
                lambda: self._build(opened, name), lambda: self._opening.get(key) is opened
            )
        except NoRecorderError as error:
            if self._opening.get(key) is opened:
                del self._opening[key]
            self._count()
            reply(envelope.Opened(self._instance, key, str(error), opened.epoch))
            return
        if session is None:
            return
        if self._opening.get(key) is not opened:  # closed while it was made
            self._maker.close(session)
            return
        del self._opening[key]
        self._open[key] = session
        self._count()
        reply(envelope.Opened(self._instance, key, epoch=opened.epoch))

    def _build(self, opened: envelope.Open, name: str) -> OpenSession:
        key = opened.session

        def on_event(event: outputs.RecorderOutput) -> None:
            self._loop.call_soon_threadsafe(self._on_event, key, opened.epoch, event)

        recorder = self._make_recorder(
            self._settings, self._scheduler, name, on_event, opened.start.sample
        )
        for parameter, value in opened.parameters.items():
            try:
                recorder.set_parameter(parameter, value)
            except CommandError as error:
                log.warning("a parameter cannot be applied: %s", error)
        tap = self._taps.open(key, opened.start.sample) if self._taps is not None else None
        return OpenSession(opened, recorder, tap)

    def tidy_taps(self) -> None:
        """Often: remove what ``--tap-dir`` has kept for long enough."""
        if self._taps is not None:
            before = self._taps.removed
            self._taps.tidy(time.time())
            self._metrics.removed_taps.inc(self._taps.removed - before)

    def close(self, key: bytes) -> None:
        """Drop a session; unknown ones are fine."""
        self._opening.pop(key, None)
        session = self._open.pop(key, None)
        self._repetition.forget(key)
        if session is not None:
            self._maker.close(session)
        self._count()

    def finish(self, message: envelope.Finish) -> None:
        """No more frames will come for a session."""
        session = self._open.get(message.session)
        if session is None:
            return
        session.intake.finish(message.end_seq)
        if session.drained:  # it is asked again: that was lost
            self._results.send(
                envelope.Drained(self._instance, message.session, session.epoch, session.sentences)
            )

    def command(
        self, message: envelope.SetParameter | envelope.GetParameter | envelope.CallMethod
    ) -> envelope.Reply:
        """Carry a client's command out on its recorder."""
        session = self._open.get(message.session)
        if session is None:
            return envelope.Reply(message.request, False, None, "the session has no recorder")
        recorder = session.recorder
        value: envelope.Parameter = None
        try:
            match message:
                case envelope.SetParameter():
                    recorder.set_parameter(message.name, message.value)
                case envelope.GetParameter():
                    value = recorder.get_parameter(message.name)
                case envelope.CallMethod():
                    recorder.call_method(message.name, message.args, message.kwargs)
                    self._pump(message.session, session)
        except CommandError as error:
            return envelope.Reply(message.request, False, None, str(error))
        return envelope.Reply(message.request, True, value, "")

    def ping(self, message: envelope.Ping, reply: Callable[[envelope.Opened], None]) -> None:
        """A gateway lives: drop sessions that it no longer lists, ``reply`` which are not here."""
        self._heard_s[message.gateway] = time.monotonic()
        listed = set(message.sessions)
        for ours in self._open.values():
            if ours.gateway == message.gateway and message.results:
                ours.results = message.results  # its address may have changed
        known = self._open | self._opening
        for key, session in known.items():
            owned = session.gateway == message.gateway and session.epoch <= message.epoch
            if owned and key not in listed:
                self.close(key)
        for key in listed - known.keys():
            reply(envelope.Opened(self._instance, key, "it is not open here", message.epoch))

    def drop_orphans(self, grace_s: float | None = None) -> None:
        """Close the sessions whose gateway was silent for longer than the grace period."""
        now_s = time.monotonic()
        if grace_s is None:
            grace_s = self._settings.session_grace_s
        for gateway, heard_s in list(self._heard_s.items()):
            if now_s - heard_s <= grace_s:
                continue
            del self._heard_s[gateway]
            known = self._open | self._opening
            orphans = [key for key, session in known.items() if session.gateway == gateway]
            if orphans:
                log.warning("gateway %s fell silent; %d sessions dropped", gateway, len(orphans))
            for key in orphans:
                self.close(key)

    # -- audio ---------------------------------------------------------------------------------

    def accept(self, header: envelope.Audio, pcm: bytes) -> None:
        """Take in a frame that a verifier passed on."""
        session = self._open.get(header.session)
        if session is None:
            self._metrics.unknown.inc()
            return
        arrival = session.intake.accept(header, pcm)
        self._arrivals[arrival].inc()
        if arrival is Arrival.HELD:
            self._pump(header.session, session)
        self._acknowledge(header.session)

    def repeat_acknowledgements(self) -> None:
        """Every heartbeat: repeat those that may have been lost."""
        for key in self._repetition.beat():
            self._results.acknowledge(key)

    def _pump(self, key: bytes, session: OpenSession) -> None:
        was_fenced = session.intake.fenced
        if session.intake.pump():
            self._acknowledge(key)
        if session.intake.fenced and not was_fenced:
            self._metrics.fenced.inc()

    def _acknowledge(self, key: bytes) -> None:
        self._repetition.changed(key)
        self._results.acknowledge(key)

    # -- events --------------------------------------------------------------------------------

    def _on_event(self, key: bytes, epoch: int, event: outputs.RecorderOutput) -> None:
        session = self._open.get(key)
        results = self._results
        if session is None or session.epoch != epoch:
            return
        instance = self._instance
        match event:
            case outputs.StateNotice():
                session.latency.notice(event.type, time.monotonic())
                results.send(
                    envelope.RecorderEvent(instance, key, event.type, event.at_sample, epoch=epoch)
                )
            case outputs.PartialText():
                waited_s = session.latency.partial(time.monotonic())
                if waited_s is not None:
                    self._metrics.first_partial_latency.observe(waited_s)
                results.send(
                    envelope.RecorderEvent(
                        instance, key, "realtime", event.at_sample, event.text, epoch
                    ),
                    may_shed=True,
                )
            case outputs.FinalStart():
                results.send(
                    envelope.RecorderEvent(
                        instance, key, "transcription_start", event.at_sample, epoch=epoch
                    ),
                    event.pcm16,
                )
            case outputs.RecordingText():
                self._on_sentence(key, session, event)
            case outputs.SilenceCommit():
                if session.intake.commit_to(event.sample):
                    self._acknowledge(key)
            case outputs.BacklogCleared():
                self._pump(key, session)
            case outputs.AllReported():
                session.intake.commit_to(event.at_sample)
                session.drained = True
                self._acknowledge(key)
                results.send(envelope.Drained(instance, key, epoch, session.sentences))

    def _on_sentence(
        self,
        key: bytes,
        session: OpenSession,
        event: outputs.RecordingText,
    ) -> None:
        waited_s = session.latency.text(time.monotonic())
        if waited_s is not None and event.text:
            self._metrics.final_latency.observe(waited_s)
        (self._metrics.failed if event.error else self._metrics.sentences).inc()
        # Those that wait must not carry this sentence's commit ahead of it.
        self._results.settle_acks()
        if event.mark:
            session.intake.utterance_ended()
        session.intake.commit_to(event.end_sample)
        self._results.send(
            envelope.Sentence(
                instance=self._instance,
                session=key,
                text=event.text,
                start_sample=event.start_sample,
                end_sample=event.end_sample,
                commit=session.intake.commit,
                error=event.error,
                epoch=session.epoch,
                mark=event.mark,
                engine=self._settings.engine_name,
                model=self._settings.model,
                words=event.words,
                sentences=session.sentences,
            )
        )
        session.sentences += 1
        self._repetition.changed(key)

    def _count(self) -> None:
        self._metrics.sessions.set(len(self._open))
        if not len(self):
            self.empty.set()

    def close_all(self) -> None:
        """Drop every session and wait for it."""
        for key in list(self._open):
            self.close(key)
        self._opening.clear()
        self._maker.shut_down()
