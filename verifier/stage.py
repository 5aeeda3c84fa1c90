"""The verifier's loop: takes frames in batches, checks them, sends verdicts and audio on.

It never waits for a peer: verdicts go out before anything else of a turn, and audio that has no
room waits in :class:`verifier.audio_out.AudioOut` while others are served.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from typing import Final

import zmq

from common.addresses import GatewayEndpoints, Names, target_of
from common.envelope import (
    RUN_BYTES,
    RUN_FRAMES,
    Audio,
    AudioBatch,
    Code,
    Frame,
    VerdictBatch,
    VerifierHello,
    frame_count,
    pack,
    unpack_frames,
)
from common.errors import SettingsError
from common.lifecycle import Lifecycle
from common.links import Fan, LinkEnd, Links, receive, send
from common.logs import LogBudget
from common.receiver import Receiver
from common.settings import VerifierSettings
from common.stamps import is_as_stamped, sealed
from verifier.audio_out import AudioOut
from verifier.check import check
from verifier.key_files import KeyFiles
from verifier.metrics import Metrics
from verifier.verdict_box import VerdictBox

log = logging.getLogger(__name__)

BATCH_FRAMES: Final = 32
"""Frames checked in one turn; their verdicts to one gateway travel together."""
LULL_S: Final = 0.5
"""A draining verifier leaves when no frame came for this long: none is then on its way to it."""
LEAVE_S: Final = 1.0
"""Without a lull it leaves after this long; frames still on their way are sent to others."""

LOOK_S: Final = 0.5
"""How often it looks for gateways that came or went."""
NAME_WAIT_S: Final = 0.05
"""What a turn may wait, once, for the address of a transcriber that was never heard of."""

FrameParts = list[bytes]
AudioFrame = tuple[Audio, memoryview]


class VerifierStage:
    """One verifier process.

    It takes frames only while a gateway subscribes to its verdicts, for a verdict that nobody
    subscribes to is lost.
    """

    def __init__(
        self,
        settings: VerifierSettings,
        lifecycle: Lifecycle,
        links: Links,
        metrics: Metrics,
        keys: KeyFiles,
    ) -> None:
        self.name = f"verifier-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._settings = settings
        self._lifecycle = lifecycle
        self._links = links
        self._metrics = metrics
        self._keys = keys
        self._names = Names()
        self._frames_from = GatewayEndpoints(settings, "frames", self._names)
        self._verdicts_to = GatewayEndpoints(settings, "verdicts", self._names)
        self._verdicts_fan = links.open_fan(LinkEnd.VERDICTS_OUT, is_tcp=self._verdicts_to.is_tcp)
        self._verdicts = self._verdicts_fan.socket
        self._frames_fan: Fan | None = None
        self._look_due_s = 0.0
        self._box = VerdictBox()
        self._audio = AudioOut(
            lambda endpoint: links.open(
                LinkEnd.AUDIO_OUT, target_of(endpoint, self._names, wait_s=NAME_WAIT_S)
            ),
            links.close,
            settings.stall_s,
            alone_s=settings.stall_alone_s,
        )
        self._checked = 0
        self._corrupt = 0
        self._hello_due_s = 0.0
        self._frames_in = Receiver("frames", unpack_frames, metrics.bad_envelopes.inc)
        self._complaints = LogBudget(burst=5, per_second=0.1)
        self._wakeup = _wake_on_signals()
        self._verdicts_fan.lead_to(self._verdicts_to.targets())

    def not_ready(self) -> str:
        """Why frames are not being taken; "" when they are."""
        lacks = ["no gateway subscribes to the verdicts", *self._names.problems]
        return "" if self._box.subscribed else "; ".join(lacks)

    def remark(self) -> str:
        """What else an operator should know: the names that cannot be looked up."""
        return "; ".join(self._names.problems)

    @property
    def _frames(self) -> zmq.Socket[bytes] | None:
        return self._frames_fan.socket if self._frames_fan is not None else None

    def run(self) -> None:
        """Check frames until a drain is asked for, then finish what has arrived."""
        while not self._lifecycle.draining:
            self._turn(self._next_timer_s())
        started_s = time.monotonic()
        leave_s = started_s + min(LEAVE_S, self._settings.drain_s)
        self._hello_due_s = started_s  # tell the gateway at once
        taken_s = started_s
        while self._taking and (now_s := time.monotonic()) < leave_s:
            if self._audio.full:
                taken_s = now_s
            if now_s - taken_s >= LULL_S:
                break
            if self._turn(taken_s + LULL_S - now_s):
                taken_s = time.monotonic()
        if self._frames is not None:
            self._links.close(self._frames)
            self._frames_fan = None
        deadline_s = started_s + self._settings.drain_s
        while any(self._audio.blocked) and time.monotonic() < deadline_s:
            self._turn(self._next_timer_s())
        self._send_verdicts(time.monotonic())
        self._audio.close()

    # -- one turn ------------------------------------------------------------------------------

    @property
    def _taking(self) -> bool:
        return self._frames is not None and self._box.subscribed

    def _next_timer_s(self) -> float:
        """Seconds until something is due though no message arrives."""
        due_s = [
            self._hello_due_s,
            self._look_due_s,
            self._box.next_expiry_s(),
            self._audio.next_deadline_s(),
        ]
        return min(at_s for at_s in due_s if at_s is not None) - time.monotonic()

    def _turn(self, timeout_s: float) -> int:
        """Wait for messages, a signal or ``timeout_s``; the number of frames taken."""
        self._lifecycle.turn()
        self._look_for_gateways(time.monotonic())
        ready = self._poll(max(0.0, timeout_s))
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        if self._verdicts in ready:
            self._read_subscriptions()
        taken = 0
        if self._frames is not None and self._frames in ready:
            taken = self._take_batch(self._frames)
        now_s = time.monotonic()
        self._audio.flush(now_s)
        if now_s >= self._hello_due_s:
            self._hello_due_s = now_s + self._settings.heartbeat_s
            self._audio.close_unused(now_s)
            self._say_hello()
        self._send_verdicts(now_s)
        return taken

    def _poll(self, timeout_s: float) -> set[zmq.Socket[bytes] | int]:
        sources: list[tuple[zmq.Socket[bytes] | int, int]] = [
            (self._wakeup, zmq.POLLIN),
            (self._verdicts, zmq.POLLIN),
        ]
        if self._frames is not None and self._box.subscribed and not self._audio.full:
            sources.append((self._frames, zmq.POLLIN))
        sources.extend((blocked, zmq.POLLOUT) for blocked in self._audio.blocked)
        return {source for source, _ in zmq.zmq_poll(sources, math.ceil(timeout_s * 1000))}

    def _look_for_gateways(self, now_s: float) -> None:
        """Connect to gateways that came, let go of those that went, take up keys that changed."""
        if now_s < self._look_due_s:
            return
        self._look_due_s = now_s + LOOK_S
        self._keys.look()
        fans = [(self._verdicts_fan, self._verdicts_to), (self._frames_fan, self._frames_from)]
        for fan, ends in fans:
            try:
                if fan is not None:
                    fan.lead_to(ends.targets())
            except SettingsError as error:
                if self._complaints.allow(now_s):
                    log.error("a gateway cannot be reached: %s", error)

    def _read_subscriptions(self) -> None:
        try:
            while True:
                self._box.notice(self._verdicts.recv(zmq.NOBLOCK))
        except zmq.Again:
            pass
        if self._box.subscribed and self._frames is None and not self._lifecycle.draining:
            self._frames_fan = self._links.open_fan(
                LinkEnd.FRAMES_IN, is_tcp=self._frames_from.is_tcp
            )
            self._look_due_s = 0.0
            self._hello_due_s = 0.0
            self._lifecycle.ready()

    # -- frames --------------------------------------------------------------------------------

    def _take_batch(self, frames: zmq.Socket[bytes]) -> int:
        messages: list[FrameParts] = []
        taken = 0
        try:
            while taken < BATCH_FRAMES:
                parts = receive(frames)
                messages.append(parts)
                taken += len(parts) - 1
        except zmq.Again:
            pass
        outgoing = self._check_batch(messages)
        now_s = time.monotonic()
        self._send_verdicts(now_s)
        for endpoint, audio in outgoing.items():
            self._send_audio(endpoint, audio, now_s)
        return taken

    def _check_batch(self, messages: list[FrameParts]) -> dict[str, list[AudioFrame]]:
        """Put each frame's verdict into the box; the audio to send, by endpoint."""
        outgoing: dict[str, list[AudioFrame]] = {}
        counts = [0] * len(Code)
        size = 0
        keys = self._keys.keys
        put = self._box.put
        started_s = time.perf_counter()
        for batch, payloads in self._frames_in.bundles(messages, frame_count):
            gateway = batch.gateway
            for header, message in zip(batch.frames, payloads, strict=True):
                if not is_as_stamped(header, message):
                    self._drop_damaged(header, message)
                    continue
                outcome = check(header, message, keys)
                verdict = outcome.verdict
                put(gateway, verdict)
                if outcome.audio is not None:
                    audio = (outcome.audio, outcome.pcm)
                    outgoing.setdefault(header.audio_endpoint, []).append(audio)
                counts[verdict.code] += 1
                size += len(message)
                if verdict.malformed:
                    self._metrics.malformed.labels(verdict.malformed).inc()
        self._metrics.check_seconds.inc(time.perf_counter() - started_s)
        checked = sum(counts)
        self._metrics.frames.inc(checked)
        self._metrics.bytes.inc(size)
        for code, count in zip(Code, counts, strict=True):
            if count:
                self._metrics.verdicts[code].inc(count)
        self._checked += checked
        self._corrupt += counts[Code.CORRUPT]
        return outgoing

    def _drop_damaged(self, header: Frame, message: bytes) -> None:
        """A frame is not what the gateway received: no client's fault, and it comes again."""
        self._metrics.damaged.inc()
        if self._complaints.allow(time.monotonic()):
            log.error(
                "frame %d of a session (%d bytes) was damaged between gateway and verifier; "
                "the gateway sends it again",
                header.seq,
                len(message),
            )

    def _send_audio(self, endpoint: str, audio: list[AudioFrame], now_s: float) -> None:
        for run in runs_of(audio):
            header = pack(AudioBatch([frame for frame, _ in run]))
            try:
                self._audio.send(endpoint, header, [pcm for _, pcm in run], now_s)
            except SettingsError as error:
                self._metrics.audio_dropped.labels("unreachable").inc(len(run))
                if self._complaints.allow(now_s):
                    log.warning("audio for %r dropped: %s", endpoint[:200], error)

    # -- verdicts ------------------------------------------------------------------------------

    def _send_verdicts(self, now_s: float) -> None:
        for topic, verdicts in self._box.take(now_s):
            batch = pack(VerdictBatch(self.name, verdicts))
            send(self._verdicts, (topic, *sealed(batch)))

    def _say_hello(self) -> None:
        draining = self._lifecycle.draining
        hello = pack(VerifierHello(self.name, os.getpid(), self._checked, self._corrupt, draining))
        for topic in self._box.topics:
            send(self._verdicts, (topic, *sealed(hello)))
        self._metrics.publish(self._audio, self._box)


def runs_of(audio: list[AudioFrame]) -> Iterator[list[AudioFrame]]:
    """The frames in their order, as many together as may travel in one message."""
    run: list[AudioFrame] = []
    size = 0
    for frame in audio:
        run.append(frame)
        size += frame[1].nbytes
        if len(run) == RUN_FRAMES or size >= RUN_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run


def _wake_on_signals() -> int:
    """A file descriptor that becomes readable when a signal arrives, so that a poll returns."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable
