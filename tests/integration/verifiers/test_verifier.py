"""Verifiers check, share the work, and come and go."""

from __future__ import annotations

import signal

import pytest

from common.envelope import (
    Audio,
    Code,
)
from tests.integration.verifiers.rig import (
    DEADLINE_S,
    SESSION,
    Heard,
    Rig,
    good,
    spoiled,
    status,
)
from tests.processes import Stages, wait_until


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
