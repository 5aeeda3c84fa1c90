"""Sits between the stages of a running system and damages what they pass on.

::

    with (
        Meddler(every=7, seed=1) as meddler,
        System(verifier=meddler.verifier, transcriber=meddler.transcriber) as system,
    ):
        meddler.go_between(system.stages)
"""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
from collections import Counter
from types import TracebackType
from typing import Final, Self

import msgspec
import zmq

from common.envelope import FrameBatch, TranscriberHello, pack, unpack_frames, unpack_results
from common.stamps import Hop, sealed
from tests.processes import Stages

POLL_MS: Final = 20
Socket = zmq.Socket[bytes]


class Meddler:
    """Passes on all that goes over the links of one gateway and one transcriber, save flipped bits.

    Args:
        every: on each link, one message of so many has a bit flipped, in any part of it.

    Attributes:
        damaged: how many messages were, by hop.
    """

    def __init__(self, *, every: int, seed: int) -> None:
        self.damaged: Counter[Hop] = Counter()
        self._every = every
        self._rng = random.Random(seed)
        self._folder = tempfile.mkdtemp(prefix="stt", dir="/tmp")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def verifier(self) -> list[str]:
        """Options of verifiers that are to reach the gateway through this."""
        return ["--frames", self._endpoint("frames"), "--verdicts", self._endpoint("verdicts")]

    @property
    def transcriber(self) -> list[str]:
        """Options of the transcriber, likewise."""
        return ["--results", self._endpoint("results")]

    def go_between(self, stages: Stages) -> None:
        """Begin to pass on what the stages of that run directory send."""
        links = [stages.endpoint(name) for name in ("frames", "verdicts", "results")]
        self._thread = threading.Thread(target=self._run, args=links)
        self._thread.start()

    def _endpoint(self, link: str) -> str:
        return f"ipc://{self._folder}/{link}.sock"

    def _run(self, frames: str, verdicts: str, results: str) -> None:
        context: zmq.Context[Socket] = zmq.Context()
        frames_in, frames_out = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        verdicts_in, verdicts_out = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
        audio_in = context.socket(zmq.PULL)
        results_in, results_out = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        commands_in, commands_out = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        audio_out: Socket | None = None
        gateway, transcriber = b"", ""
        frames_in.connect(frames)
        verdicts_out.connect(verdicts)
        frames_out.bind(self._endpoint("frames"))
        verdicts_in.bind(self._endpoint("verdicts"))
        audio_in.bind(self._endpoint("audio"))
        results_out.connect(results)
        results_in.bind(self._endpoint("results"))
        commands_in.bind(self._endpoint("commands"))
        poller = zmq.Poller()
        inputs = (frames_in, verdicts_in, verdicts_out, audio_in, results_in, commands_in)
        for socket in (*inputs, commands_out):
            poller.register(socket, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(POLL_MS))
            if frames_in in ready:
                header, *messages = frames_in.recv_multipart()
                batch = unpack_frames(header)
                if audio_out is None:
                    audio_out = context.socket(zmq.PUSH)
                    audio_out.connect(batch.frames[0].audio_endpoint)
                audio = self._endpoint("audio")
                via = [msgspec.structs.replace(f, audio_endpoint=audio) for f in batch.frames]
                packed = pack(FrameBatch(batch.gateway, via))
                frames_out.send_multipart(self._meddled(Hop.FRAMES, [packed, *messages]))
            if audio_in in ready and audio_out is not None:
                audio_out.send_multipart(self._meddled(Hop.AUDIO, audio_in.recv_multipart()))
            if verdicts_in in ready:
                topic, *parts = verdicts_in.recv_multipart()
                verdicts_out.send_multipart([topic, *self._meddled(Hop.VERDICTS, parts)])
            if verdicts_out in ready:
                verdicts_in.send(verdicts_out.recv())
            if results_in in ready:
                packed, *rest = results_in.recv_multipart()
                message = unpack_results(packed)
                if isinstance(message, TranscriberHello):
                    if not transcriber:
                        transcriber = message.commands_endpoint
                        commands_out.connect(message.commands_endpoint)
                    here = msgspec.structs.replace(
                        message, commands_endpoint=self._endpoint("commands")
                    )
                    packed, *rest = sealed(pack(here))
                results_out.send_multipart(self._meddled(Hop.RESULTS, [packed, *rest]))
            if commands_in in ready:
                gateway, *parts = commands_in.recv_multipart()
                commands_out.send_multipart(self._meddled(Hop.COMMANDS, parts))
            if commands_out in ready:
                parts = self._meddled(Hop.REPLIES, commands_out.recv_multipart())
                commands_in.send_multipart([gateway, *parts])
        context.destroy(linger=0)

    def _meddled(self, hop: Hop, parts: list[bytes]) -> list[bytes]:
        if self._rng.randrange(self._every):
            return parts
        # The header is a part like any other: that its bits are right matters as much.
        index = self._rng.choice([i for i, part in enumerate(parts) if part])
        damaged = bytearray(parts[index])
        damaged[self._rng.randrange(len(damaged))] ^= 1 << self._rng.randrange(8)
        self.damaged[hop] += 1
        return [*parts[:index], bytes(damaged), *parts[index + 1 :]]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)
