"""No peer of a verifier holds up the others, be it slow, greedy, unknown or talking nonsense."""

from __future__ import annotations

import contextlib
import os

import zmq

from common.envelope import (
    Code,
    Frame,
    FrameBatch,
    VerdictBatch,
    VerifierHello,
    pack,
    unpack,
)
from common.links import LinkEnd
from common.settings import GatewaySettings
from tests.integration.verifiers.rig import (
    DEADLINE_S,
    GATEWAY,
    SESSION,
    VERIFY,
    Rig,
    good,
    metric,
)
from tests.processes import wait_until


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
