"""Verifiers as processes, between a gateway and transcribers that the test stands in for."""

from __future__ import annotations

import contextlib
import struct
import time
import urllib.error
import urllib.request
from typing import Final, NamedTuple

import msgspec
import zmq

from common.envelope import (
    Audio,
    Frame,
    FrameBatch,
    Policy,
    Verdict,
    VerdictBatch,
    VerifierHello,
    pack,
    unpack,
    unpack_audio,
)
from common.integrity import additive_checksum
from common.links import LinkEnd, Links
from common.settings import GatewaySettings
from common.stamps import audio_is_as_stamped, is_sealed
from common.wire import Metadata, build_message
from tests.processes import StageProcess, Stages, wait_until

GATEWAY: Final = "gateway-under-test"


SESSION: Final = bytes(range(16))


VERIFY: Final = int(Policy.VERIFY | Policy.SILENCE_CORRUPT)


DEADLINE_S: Final = 20.0


QUIET_S: Final = 1.0


"""Nothing new for so long, while something still works at it, is not seen on a busy machine."""


class Heard(NamedTuple):
    """One audio message as a transcriber receives it."""

    audio: Audio
    pcm: bytes


class Transcriber:
    """One audio link and what was heard on it, by seq."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.heard: dict[int, Heard] = {}

    def read(self) -> None:
        """Take in what has arrived."""
        with contextlib.suppress(zmq.Again):
            while True:
                header, *pcms = self.socket.recv_multipart(zmq.NOBLOCK)
                for audio, pcm in zip(unpack_audio(header).frames, pcms, strict=True):
                    assert audio.stamp
                    assert audio_is_as_stamped(audio, pcm)
                    self.heard[audio.seq] = Heard(msgspec.structs.replace(audio, stamp=0), pcm)


class Rig:
    """A gateway's frames and verdicts links, and any number of transcribers' audio links."""

    def __init__(self, stages: Stages, *, bind: bool = True) -> None:
        self.stages = stages
        self.settings = GatewaySettings(run_dir=str(stages.run_dir))
        self.links = Links(self.settings)
        self.verdicts: dict[tuple[bytes, int], Verdict] = {}
        self.repeated = 0
        self.workers: dict[str, int] = {}
        self.hellos: list[VerifierHello] = []
        self.topics: set[bytes] = set()
        self.transcribers: list[Transcriber] = []
        if bind:
            self.bind()

    def bind(self) -> None:
        """Bring the gateway up."""
        self.verdict_link = self.links.open(LinkEnd.VERDICTS_IN, self.settings.endpoint("verdicts"))
        self.verdict_link.subscribe(GATEWAY)
        self.frame_link = self.links.open(LinkEnd.FRAMES_OUT, self.settings.endpoint("frames"))

    def transcriber(self, name: str = "audio", *, reads: bool = True) -> Transcriber:
        """Bind an audio endpoint; unless it is a stuck one, it reads whenever the rig turns."""
        transcriber = Transcriber(self.links.open(LinkEnd.AUDIO_IN, self.stages.endpoint(name)))
        if reads:
            self.transcribers.append(transcriber)
        return transcriber

    def verifier(self, *options: str) -> StageProcess:
        """Start a verifier; a patient one, unless the options say otherwise, for a busy machine."""
        return self.stages.start("verifier", "--heartbeat", "0.1", "--stall", "15", *options)

    def send(
        self,
        seq: int,
        message: bytes,
        to: str = "audio",
        *,
        session: bytes = SESSION,
        policy: int = VERIFY,
        gateway: str = GATEWAY,
    ) -> None:
        """Push one frame, waiting for a verifier to have room."""
        frame = Frame(session, seq, seq, self.stages.endpoint(to), policy)

        def there_is_room() -> int:
            self.turn()  # a subscription is only sent while its socket is being used
            return self.frame_link.poll(5, zmq.POLLOUT)

        wait_until(there_is_room, "a verifier has room", DEADLINE_S)
        self.frame_link.send_multipart([pack(FrameBatch(gateway, [frame])), message])

    def turn(self) -> None:
        """Take in what has arrived on the verdicts link and at the transcribers."""
        for transcriber in self.transcribers:
            transcriber.read()
        with contextlib.suppress(zmq.Again):
            while True:
                topic, body, seal = self.verdict_link.recv_multipart(zmq.NOBLOCK)
                self.topics.add(topic)
                assert is_sealed(seal, body)
                message = unpack(body)
                if isinstance(message, VerifierHello):
                    self.hellos.append(message)
                    continue
                assert isinstance(message, VerdictBatch)
                for verdict in message.verdicts:
                    key = (verdict.session, verdict.seq)
                    self.repeated += key in self.verdicts
                    self.verdicts[key] = verdict
                    self.workers[message.verifier] = self.workers.get(message.verifier, 0) + 1

    def await_verdicts(self, count: int, timeout_s: float = DEADLINE_S) -> dict[int, Verdict]:
        """The verdicts of one session by seq, once there are ``count``."""

        def there_are_enough() -> bool:
            self.turn()
            return len(self.verdicts) >= count

        wait_until(there_are_enough, f"{count} verdicts", timeout_s)
        return {seq: verdict for (_, seq), verdict in self.verdicts.items()}

    def hear(self, transcriber: Transcriber, count: int) -> dict[int, Heard]:
        """What a transcriber heard, by seq, once that is ``count`` frames."""

        def there_are_enough() -> bool:
            self.turn()
            return len(transcriber.heard) >= count

        wait_until(there_are_enough, f"{count} frames heard", DEADLINE_S)
        return transcriber.heard

    def await_quiet(self) -> None:
        """Take in what arrives until no verdict and no audio has come for a while."""
        arrived, since_s = -1, 0.0

        def nothing_comes() -> bool:
            nonlocal arrived, since_s
            self.turn()
            heard = sum(len(transcriber.heard) for transcriber in self.transcribers)
            if arrived != (arrived := len(self.verdicts) + heard):
                since_s = time.monotonic()
            return time.monotonic() - since_s >= QUIET_S

        wait_until(nothing_comes, "nothing comes any more", DEADLINE_S)

    def await_ready(self, verifier: StageProcess) -> None:
        """Serve the verdicts link until the verifier has seen this gateway's subscription."""

        def is_ready() -> bool:
            self.turn()
            assert verifier.alive, verifier.output
            return any("is ready" in line for line in verifier.lines)

        wait_until(is_ready, f"{verifier!r} is ready", DEADLINE_S)

    def await_exit(self, verifier: StageProcess) -> int:
        """Serve the links until a verifier that was told to stop has done so; its exit status."""

        def has_ended() -> bool:
            self.turn()
            return not verifier.alive

        wait_until(has_ended, f"{verifier!r} has ended", DEADLINE_S)
        return verifier.wait()

    def await_hellos(self, verifiers: int) -> set[str]:
        """Names of the verifiers that have said hello, once there are as many as that."""

        def all_said_hello() -> bool:
            self.turn()
            return len({hello.verifier for hello in self.hellos}) >= verifiers

        wait_until(all_said_hello, f"hello of {verifiers} verifiers", DEADLINE_S)
        return {hello.verifier for hello in self.hellos}


def good(seq: int, samples: int = 512) -> bytes:
    """A frame with a right checksum whose samples tell its number."""
    pcm = struct.pack("<h", seq % 30_000) * samples
    metadata = Metadata(
        sample_rate=16_000,
        data_length=samples,
        checksum=additive_checksum(pcm),
        server_sent_to_stt=True,
    )
    return build_message(metadata, pcm)


def spoiled(message: bytes) -> bytes:
    """The same with one bit of the last sample flipped."""
    return message[:-1] + bytes([message[-1] ^ 1])


def metric(port: int, name: str) -> float:
    """A metric's value; 0 where it has none yet."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        for line in response.read().decode().splitlines():
            if line.startswith(f"stt_verifier_{name} "):
                return float(line.split()[-1])
    return 0.0


def status(port: int, path: str) -> int:
    """HTTP status of a page of the stage's telemetry."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
