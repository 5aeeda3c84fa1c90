"""Real verifier processes between a gateway and transcribers made of bare sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import pytest
import zmq

from common.envelope import (
    Audio,
    Code,
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


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Stages() as stages:
        rig = Rig(stages)
        try:
            yield rig
        finally:
            rig.links.close_all()


def test_every_frame_gets_a_verdict_and_its_audio(rig: Rig) -> None:
    audio = rig.transcriber()
    rig.await_ready(rig.verifier())
    messages = [good(seq) for seq in range(100)]
    for seq, message in enumerate(messages):
        rig.send(seq, message)
    heard = rig.hear(audio, 100)
    verdicts = rig.await_verdicts(100)
    assert {verdict.code for verdict in verdicts.values()} == {Code.OK}
    assert sorted(heard) == list(range(100))
    for seq, message in enumerate(messages):
        assert heard[seq].pcm == message[-1024:]
        assert heard[seq].audio == Audio(SESSION, seq, 16_000, False, 0, seq)


def test_a_corrupt_frame_becomes_a_hole_and_its_neighbours_do_not_suffer(rig: Rig) -> None:
    audio = rig.transcriber()
    rig.verifier()
    rig.send(0, good(0))
    rig.send(1, spoiled(good(1)))
    rig.send(2, b"\xff\xff\xff\xffnot a frame")
    rig.send(3, good(3))
    heard = rig.hear(audio, 4)
    verdicts = rig.await_verdicts(4)
    assert [verdicts[seq].code for seq in range(4)] == [
        Code.OK,
        Code.CORRUPT,
        Code.CORRUPT,
        Code.OK,
    ]
    assert verdicts[2].malformed == "header_overrun"
    assert heard[1] == Heard(Audio(SESSION, 1, 16_000, True, 512, 1), b"")
    assert heard[2] == Heard(Audio(SESSION, 2, 0, True, 0, 2), b"")


def test_large_frames_pass_unharmed(rig: Rig) -> None:
    audio = rig.transcriber()
    rig.verifier()
    messages = [good(seq, samples=200_000) for seq in range(8)]
    for seq, message in enumerate(messages):
        rig.send(seq, message)
    heard = rig.hear(audio, 8)
    assert all(heard[seq].pcm == messages[seq][-400_000:] for seq in range(8))


def test_two_verifiers_share_the_work(rig: Rig) -> None:
    audio = rig.transcriber()
    rig.verifier()
    rig.verifier()
    names = rig.await_hellos(2)
    for seq in range(200):
        rig.send(seq, good(seq))
    rig.hear(audio, 200)
    rig.await_verdicts(200)
    assert set(rig.workers) == names
    assert rig.repeated == 0


def test_a_verifier_started_before_the_gateway_serves_it() -> None:
    with Stages() as stages:
        rig = Rig(stages, bind=False)
        try:
            verifier = rig.verifier()
            verifier.wait_for_line("waits for a gateway")
            audio = rig.transcriber()
            rig.bind()
            rig.send(0, good(0))
            assert rig.hear(audio, 1)[0].pcm == good(0)[-1024:]
            assert rig.await_verdicts(1)[0].code == Code.OK
        finally:
            rig.links.close_all()


def test_a_verifier_serves_the_next_gateway_of_the_same_endpoints(rig: Rig) -> None:
    audio = rig.transcriber()
    rig.await_ready(rig.verifier())
    rig.links.close(rig.frame_link)
    rig.links.close(rig.verdict_link)
    rig.bind()
    rig.send(0, good(0))
    assert rig.await_verdicts(1)[0].code == Code.OK
    rig.hear(audio, 1)


def test_sigterm_finishes_what_was_sent_and_exits_0(rig: Rig) -> None:
    audio = rig.transcriber()
    verifier = rig.verifier()
    rig.await_ready(verifier)
    for seq in range(150):
        rig.send(seq, good(seq))
    verifier.signal(signal.SIGTERM)
    assert rig.await_exit(verifier) == 0
    assert len(rig.hear(audio, 150)) == 150
    rig.await_verdicts(150)
    assert rig.hellos[-1].draining
    verifier.wait_for_line("verifier stopped")


def test_scaling_down_under_load_loses_nothing_for_good(rig: Rig) -> None:
    """Frames that were on their way to the leaver are sent again, as the gateway does."""
    audio = rig.transcriber()
    leaver, stayer = rig.verifier(), rig.verifier()
    rig.await_hellos(2)
    for seq in range(400):
        rig.send(seq, good(seq))
        if seq == 200:
            leaver.signal(signal.SIGTERM)
    assert rig.await_exit(leaver) == 0
    rig.await_quiet()
    seen = {seq for _, seq in rig.verdicts} & set(audio.heard)
    missing = sorted(set(range(400)) - seen)
    assert len(missing) <= 100, "a leaver takes along no more than its queues hold"
    for seq in missing:
        rig.send(seq, good(seq))
    assert {verdict.code for verdict in rig.await_verdicts(400).values()} == {Code.OK}
    assert len(rig.hear(audio, 400)) == 400
    assert stayer.terminate() == 0


def test_sigint_drains_as_well_and_a_second_signal_ends_at_once(rig: Rig) -> None:
    rig.transcriber()
    verifier = rig.verifier("--stall", "30", "--drain-timeout", "30")
    rig.await_ready(verifier)
    rig.send(0, good(0), to="nobody")  # waits for a transcriber that is not there
    rig.await_verdicts(1)
    verifier.signal(signal.SIGINT)

    def drains() -> bool:
        rig.turn()
        return rig.hellos[-1].draining

    wait_until(drains, "it drains", DEADLINE_S)
    assert verifier.alive
    verifier.signal(signal.SIGINT)
    assert verifier.wait(5.0) == 128 + signal.SIGTERM


def test_a_killed_verifier_leaves_nothing_and_another_carries_on(rig: Rig) -> None:
    audio = rig.transcriber()
    first = rig.verifier()
    rig.await_ready(first)
    rig.send(0, good(0))
    rig.hear(audio, 1)
    files = sorted(path.name for path in rig.stages.run_dir.iterdir())
    first.kill()
    assert sorted(path.name for path in rig.stages.run_dir.iterdir()) == files
    rig.await_ready(rig.verifier())
    rig.send(1, good(1))
    assert sorted(rig.hear(audio, 2)) == [0, 1]
    rig.await_verdicts(2)
    assert len(rig.workers) == 2


def test_a_transcriber_that_never_reads_does_not_stall_another(rig: Rig) -> None:
    """A verifier waits ``--stall`` once for the stuck one; its frames are dropped and counted."""
    rig.transcriber("stuck", reads=False)
    audio = rig.transcriber()
    verifier = rig.verifier("--stall", "0.2", "--metrics-port", "0")
    port = int(verifier.wait_for_line(r"metrics at http://127.0.0.1:(\d+)")[1])
    other = b"other session 16"
    total = 600
    for seq in range(total):
        rig.send(seq, good(seq, samples=4096), to="stuck")
        rig.send(seq, good(seq), session=other)
    heard = rig.hear(audio, total)
    assert sorted(heard) == list(range(total))
    rig.await_verdicts(2 * total)
    wait_until(lambda: metric(port, 'audio_dropped_total{reason="stalled"}') > 0, "drops counted")


def test_a_stalled_transcriber_is_served_again_when_it_reads(rig: Rig) -> None:
    stuck = rig.transcriber("stuck", reads=False)
    rig.verifier("--stall", "0.05")
    for seq in range(600):
        rig.send(seq, good(seq, samples=4096), to="stuck")
    verdicts = rig.await_verdicts(600)
    assert len(verdicts) == 600
    rig.transcribers.append(stuck)  # it comes to, and reads what had reached it
    before = len(stuck.heard)
    rig.hear(stuck, before + 1)

    def is_served() -> bool:
        rig.send(600, good(600), to="stuck")
        rig.turn()
        return 600 in stuck.heard

    wait_until(is_served, "the transcriber is served again", DEADLINE_S, poll_s=0.05)
    assert before == 0
    assert len(stuck.heard) < 600, "what it had no room for was dropped"


def test_frames_for_a_transcriber_that_appears_in_time_reach_it(rig: Rig) -> None:
    rig.verifier("--stall", "20")
    for seq in range(5):
        rig.send(seq, good(seq), to="late")
    rig.await_verdicts(5)
    late = rig.transcriber("late")
    assert sorted(rig.hear(late, 5)) == list(range(5))


def test_garbage_on_the_frames_link_is_survived(rig: Rig) -> None:
    audio = rig.transcriber()
    verifier = rig.verifier("--metrics-port", "0")
    port = int(verifier.wait_for_line(r"metrics at http://127.0.0.1:(\d+)")[1])
    rig.await_ready(verifier)
    frame = FrameBatch(GATEWAY, [Frame(SESSION, 7, 0, "not an endpoint", VERIFY)])
    garbage = [
        [b""],
        [b"", b""],
        [os.urandom(100), good(0)],
        [pack(frame)],
        [pack(frame), good(0), b"a third part"],
        [pack(frame)[:-3], good(0)],
        [pack(VerifierHello("not a frame", 1, 0, 0)), b""],
        [b"\x91" * 100_000, b""],
    ]
    for _ in range(20):
        for parts in garbage:
            rig.frame_link.send_multipart(parts)
    rig.frame_link.send_multipart([pack(frame), good(7)])
    rig.send(1, good(1))
    assert 1 in rig.hear(audio, 1)
    assert set(rig.await_verdicts(2)) == {1, 7}
    assert verifier.alive
    assert metric(port, "bad_envelopes_total") == 20 * len(garbage)
    assert metric(port, 'audio_dropped_total{reason="unreachable"}') == 1
    complaints = [line for line in verifier.lines if "dropped a message" in line]
    assert 1 <= len(complaints) <= 6


def test_a_verdict_waits_for_its_gateways_subscription(rig: Rig) -> None:
    audio = rig.transcriber()
    rig.await_ready(rig.verifier())
    rig.send(0, good(0), gateway="another gateway")
    rig.hear(audio, 1)
    assert not rig.verdicts
    rig.verdict_link.subscribe("another gateway")
    assert rig.await_verdicts(1)[0].code == Code.OK
    assert b"another gateway" in rig.topics


def test_ready_means_that_a_gateway_listens() -> None:
    with Stages() as stages:
        verifier = stages.start("verifier", "--metrics-port", "0")
        port = int(verifier.wait_for_line(r"metrics at http://127.0.0.1:(\d+)")[1])
        assert status(port, "/healthz") == 200
        assert status(port, "/readyz") == 503
        rig = Rig(stages)
        try:
            rig.await_ready(verifier)
            assert status(port, "/readyz") == 200
        finally:
            rig.links.close_all()
        wait_until(lambda: status(port, "/readyz") == 503, "it notices that the gateway left")
        assert verifier.terminate() == 0


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--hmac-key-file", "/nonexistent/key"], "cannot read --hmac-key-file"),
        (["--frames", "tcp://127.0.0.1:1", "--verdicts", "tcp://127.0.0.1:2"], "--curve-dir"),
        (["--verdicts", "nonsense"], "cannot connect to nonsense"),
    ],
)
def test_a_bad_option_is_named_and_exits_2(options: list[str], complaint: str) -> None:
    with Stages() as stages:
        verifier = stages.start("verifier", *options)
        verifier.wait_for_line(f"verifier cannot start: .*{complaint}")
        assert verifier.wait() == 2


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


def test_a_gateway_that_sends_without_end_leaves_another_its_share(rig: Rig) -> None:
    """Both are of one run dir, where a verifier finds them by itself; the second comes later."""
    rig.transcriber()
    rig.await_ready(rig.verifier())
    settings = GatewaySettings(run_dir=str(rig.stages.run_dir), slot=2)
    verdict_link = rig.links.open(LinkEnd.VERDICTS_IN, settings.endpoint("verdicts"))
    verdict_link.subscribe("second")
    frame_link = rig.links.open(LinkEnd.FRAMES_OUT, settings.endpoint("frames"))
    waiting = [
        FrameBatch("second", [Frame(SESSION, n, n, rig.stages.endpoint("audio"), VERIFY)])
        for n in range(50)
    ]
    judged: list[int] = []
    first_at: int | None = None
    for seq in range(20_000):  # the first gateway's frames: there is always one more
        rig.send(seq, good(seq))
        with contextlib.suppress(zmq.Again):
            while waiting:
                frame_link.send_multipart([pack(waiting[0]), good(0)], zmq.NOBLOCK)
                waiting.pop(0)
        with contextlib.suppress(zmq.Again):
            while True:
                _, body, *_ = verdict_link.recv_multipart(zmq.NOBLOCK)
                batch = unpack(body)
                if isinstance(batch, VerdictBatch):
                    judged += [verdict.seq for verdict in batch.verdicts]
        if judged and first_at is None:
            first_at = len(rig.verdicts)
        if len(judged) == 50:
            break
    assert sorted(judged) == list(range(50))
    assert first_at is not None
    assert len(rig.verdicts) - first_at < 2_000, (
        "fifty of one gateway in the time of a few of another"
    )


def test_a_host_name_that_cannot_be_looked_up_stops_nobody_else(rig: Rig) -> None:
    """It never reaches a socket, where ZeroMQ would look it up on the thread of all links."""
    audio = rig.transcriber()
    verifier = rig.verifier("--insecure-tcp")
    rig.await_ready(verifier)
    for seq in range(100):
        rig.send(2 * seq, good(seq))
        lost = Frame(SESSION, 2 * seq + 1, 1, "tcp://no-such-host.invalid:5554", VERIFY)
        wait_until(lambda: rig.frame_link.poll(5, zmq.POLLOUT), "there is room", DEADLINE_S)
        rig.frame_link.send_multipart([pack(FrameBatch(GATEWAY, [lost])), good(seq)])
    assert sorted(rig.hear(audio, 100)) == list(range(0, 200, 2))
    assert len(rig.await_verdicts(200)) == 200
    verifier.wait_for_line("host name in tcp://no-such-host.invalid:5554 cannot be looked up")
