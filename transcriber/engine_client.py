"""A transcriber's end of the links to engine processes: the lane that its recorders' requests take.

Requests come from the recorders' threads; all else happens on the event loop. Where a request goes,
and what becomes of it when its engine is lost, is :class:`transcriber.engine_pool.EnginePool`'s to
say.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import NamedTuple

import msgspec
import zmq

from common import envelope
from common.errors import SettingsError
from common.links import Inbox, LinkEnd, Links, Parts, send
from common.logs import LogBudget
from common.peer_watch import PeerWatch
from common.receiver import Receiver
from common.stamps import sealed
from transcriber.engine_pool import EnginePool, Hello, Lost
from transcriber.engines.base import AudioRequest, EngineError, Transcript, TranscriptInfo
from transcriber.engines.features import FeatureMaker
from transcriber.executors import NOTHING, TranscriptFuture, resolve
from transcriber.pcm import int16_samples
from transcriber.schedule import Kind

log = logging.getLogger(__name__)


class RemoteFuture(TranscriptFuture):
    """A transcription that an engine process makes."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Pending(NamedTuple):
    future: RemoteFuture
    session: str
    message: envelope.Transcribe
    payload: bytes


class _Link:
    """The socket to one engine process."""

    def __init__(
        self,
        links: Links,
        endpoint: str,
        on_messages: Callable[[_Link, list[Parts]], None],
        on_gone: Callable[[_Link], None],
    ) -> None:
        self.endpoint = endpoint
        self.instance = ""
        """The engine there, while it lives."""
        self.heard = ""
        """The engine that was there last."""
        self._links = links
        self._socket = links.open(LinkEnd.ENGINE_OUT, endpoint)
        try:
            self._watch = PeerWatch(self._socket, lambda: on_gone(self))
        except SettingsError:
            links.close(self._socket)
            raise
        self._inbox = Inbox(self._socket, lambda messages: on_messages(self, messages))

    def send(self, parts: list[bytes]) -> None:
        """Queue a message; one for which there is no room is lost, and asked again by deadline."""
        with contextlib.suppress(zmq.Again):
            send(self._socket, parts)
        self._inbox.poke()

    def close(self) -> None:
        """Close the socket."""
        self._inbox.close()
        self._watch.close()
        self._links.close(self._socket)


class EngineClient:
    """Sends requests of one transcriber to the engine processes that it finds.

    Args:
        find: the endpoints of the engine processes that there are now.
        on_bad: called for each message that is dropped.
        on_damage: likewise, if it was damaged on its way; a final is then asked again by deadline.
        on_lost: called with what became of the requests of engines that were lost.
    """

    def __init__(
        self,
        name: str,
        links: Links,
        find: Callable[[], list[str]],
        on_bad: Callable[[], None],
        on_lost: Callable[[Lost], None],
        silent_s: float = 3.0,
        *,
        on_damage: Callable[[], None],
    ) -> None:
        self._name = name
        self._links = links
        self._find = find
        self._on_lost = on_lost
        self._pool = EnginePool(silent_s)
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._by_endpoint: dict[str, _Link] = {}
        self._receiver = Receiver("engine", envelope.unpack_answers, on_bad, on_damage=on_damage)
        self._features = FeatureMaker()
        self._complaints = LogBudget(3, 0.1)
        self._closed = False
        self.heard = asyncio.Event()
        """Set once an engine is there."""

    # -- what recorders call, on their threads -------------------------------------------------

    def submit(self, session: str, kind: Kind, request: AudioRequest) -> TranscriptFuture:
        """Send a request to an engine, or as soon as there is one.

        Raises:
            CancelledError: it is closed.
        """
        if self._closed:
            raise CancelledError("the transcriber stops")
        future = RemoteFuture(next(self._numbers))
        # Here, on a thread of the session: it takes a while and would hold up the engine.
        features = self._features.of(request)
        pcm = int16_samples(request.audio).tobytes()
        message = envelope.Transcribe(
            request=future.number,
            session=session,
            request_kind=int(kind),
            language=request.language or "",
            use_prompt=request.use_prompt,
            word_timestamps=request.word_timestamps,
            samples=request.audio.size,
            feature_bins=0 if features is None else features.shape[0],
        )
        payload = pcm if features is None else pcm + features.tobytes()
        pending = _Pending(future, session, message, payload)
        self._on_loop(self._submit, pending, kind, request.audio.size / 16_000)
        future.add_done_callback(
            lambda done: self._on_loop(self._withdraw, future) if done.cancelled() else None
        )
        return future

    def promote(self, future: TranscriptFuture) -> None:
        """An early request is its recording's final."""
        if isinstance(future, RemoteFuture):
            self._on_loop(self._promote, future)

    def forget(self, session: str) -> None:
        """Cancel all requests of a session."""
        self._on_loop(self._forget, session)

    def waiting(self) -> tuple[int, int]:
        """Finals and partials that are not answered yet."""
        return self._pool.waiting()

    def wait_s(self) -> float:
        """For how long a final that comes now would wait."""
        return self._pool.wait_s(time.monotonic())

    def close(self) -> None:
        """Cancel what waits. From then on nothing is sent."""
        self._closed = True
        for pending in list(self._pending.values()):
            pending.future.cancel()

    # -- on the loop ---------------------------------------------------------------------------

    def beat(self) -> None:
        """Several times a second: look for engines, tell them that we live, give up the lost."""
        self._look()
        ping = envelope.pack(envelope.EnginePing(self._name))
        for link in self._by_endpoint.values():
            link.send(sealed(ping))
        self._settle(self._pool.expire(time.monotonic()))

    def close_links(self) -> None:
        """Close the sockets, before their context ends."""
        for link in self._by_endpoint.values():
            link.close()
        self._by_endpoint.clear()

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(call, *arguments)

    def _look(self) -> None:
        found = self._find()
        for endpoint in self._by_endpoint.keys() - set(found):
            self._drop(self._by_endpoint[endpoint])
        for endpoint in found:
            if endpoint not in self._by_endpoint:
                try:
                    link = _Link(self._links, endpoint, self._on_messages, self._gone)
                except SettingsError as error:
                    if self._complaints.allow(time.monotonic()):
                        log.error("an engine cannot be used: %s", error)
                    continue
                self._by_endpoint[endpoint] = link

    def _submit(self, pending: _Pending, kind: Kind, audio_s: float) -> None:
        if self._closed or pending.future.cancelled():
            pending.future.cancel()
            return
        self._pending[pending.future.number] = pending
        self._pool.submit(pending.future.number, kind, audio_s, time.monotonic())
        self._place()

    def _place(self) -> None:
        links = {link.instance: link for link in self._by_endpoint.values() if link.instance}
        for request, instance in self._pool.place(time.monotonic()):
            pending = self._pending[request]
            links[instance].send(sealed(envelope.pack(pending.message), pending.payload))

    def _promote(self, future: RemoteFuture) -> None:
        pending = self._pending.get(future.number)
        if pending is None:
            return
        # As a final it is asked again, too: an early request gives way to the session's next one.
        message = msgspec.structs.replace(pending.message, request_kind=int(Kind.FINAL))
        self._pending[future.number] = pending._replace(message=message)
        self._tell(self._pool.promote(future.number), envelope.Promote(future.number))

    def _withdraw(self, future: RemoteFuture) -> None:
        self._pending.pop(future.number, None)
        self._tell(self._pool.withdraw(future.number), envelope.Withdraw(future.number))

    def _forget(self, session: str) -> None:
        for pending in list(self._pending.values()):
            if pending.session == session:
                pending.future.cancel()

    def _tell(self, instance: str, message: envelope.Promote | envelope.Withdraw) -> None:
        for link in self._by_endpoint.values():
            if instance and link.instance == instance:
                link.send(sealed(envelope.pack(message)))

    def _on_messages(self, link: _Link, messages: list[Parts]) -> None:
        now = time.monotonic()
        for letter in self._receiver.letters(messages):
            match letter.message:
                case envelope.EngineHello() as hello:
                    self._hear(link, hello, now)
                case envelope.Transcribed() as answer:
                    answered = self._pool.answered(answer.request, link.heard, now)
                    if answered.counts:
                        pending = self._pending.pop(answer.request)
                        resolve(pending.future, _outcome(answer))
                        self._tell(answered.spared, envelope.Withdraw(answer.request))

    def _hear(self, link: _Link, hello: envelope.EngineHello, now: float) -> None:
        link.instance = link.heard = hello.instance
        self._features.bins = hello.feature_bins
        if self._pool.hear(Hello(hello.instance, hello.wait_s, hello.concurrency), now):
            log.info("engine %s (%s) serves this transcriber", hello.instance, hello.engine)
            self.heard.set()
        self._place()

    def _gone(self, link: _Link) -> None:
        if link.instance:
            self._settle(self._pool.lose(link.instance))
            link.instance = ""

    def _drop(self, link: _Link) -> None:
        self._gone(link)
        link.close()
        del self._by_endpoint[link.endpoint]

    def _settle(self, lost: Lost) -> None:
        for instance in lost.gone:
            log.warning("engine %s is gone", instance)
            for link in self._by_endpoint.values():
                if link.instance == instance:
                    link.instance = ""
        for instance in lost.hung:
            log.warning("engine %s lets a final wait too long: others are asked", instance)
        for request in lost.dropped:
            resolve(self._pending.pop(request).future, NOTHING)
        for request in lost.failed:
            error = EngineError("no engine lived to answer")
            resolve(self._pending.pop(request).future, error)
        if lost.gone or lost.hung:
            self._on_lost(lost)
        self._place()


def _outcome(answer: envelope.Transcribed) -> Transcript | Exception:
    if answer.error:
        return EngineError(answer.error)
    try:
        metadata = json.loads(answer.metadata) if answer.metadata else {}
    except ValueError:
        metadata = {}
    info = TranscriptInfo(answer.language or None, answer.language_probability)
    return Transcript(answer.text, info, metadata)
