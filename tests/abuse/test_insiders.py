"""Nobody on a link brings a stage down: it is checked like what a stranger sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import zmq

from common import envelope
from common.links import LinkEnd, Links
from common.settings import StageSettings
from common.stamps import seal, sealed
from tests.abuse.scene import Scene
from tests.abuse.test_connections import gateway_with
from tests.abuse.test_watching import answer
from tests.faults.crowd import until
from tests.processes import wait_until

HOLE_SAMPLES = 1 << 31
ROUNDS = 20


class Insider:
    """Who may use the links: it stands in for a verifier and a transcriber at once."""

    def __init__(self, links: Links, run_dir: Path) -> None:
        (audio,) = run_dir.glob("audio*.sock")
        self._verdicts = links.open(LinkEnd.VERDICTS_OUT, f"ipc://{run_dir}/verdicts.sock")
        self._results = links.open(LinkEnd.RESULTS_OUT, f"ipc://{run_dir}/results.sock")
        self._audio = links.open(LinkEnd.AUDIO_OUT, f"ipc://{audio}")
        self._topic = b""

    def wait_for_the_gateway(self) -> None:
        """Learn the gateway's id, as every verifier does."""
        assert self._verdicts.poll(30_000)
        self._topic = self._verdicts.recv()[1:]

    def lie(self, session: bytes, seq: int) -> None:
        """Send what no stage may take, about a session that lives."""

        def verdict(code: int, rate_hz: int) -> bytes:
            said = envelope.Verdict(session, seq, code, None, 0, None, None, rate_hz)
            return envelope.pack(envelope.VerdictBatch("insider", [said]))

        for packed in (verdict(7, 16_000), verdict(0, -1), verdict(0, 1 << 40)):
            self._send(self._verdicts, [self._topic, packed, seal(packed)])
        for packed in (verdict(0, 16_000), envelope.pack(envelope.Ping("", [], 0))):
            self._send(self._results, [packed])
        for rate_hz, hole_samples, pcm in ((0, 0, b"\0\0"), (16_000, HOLE_SAMPLES, b"")):
            audio = envelope.Audio(session, seq, rate_hz, bool(hole_samples), hole_samples)
            self._send(self._audio, [envelope.pack(envelope.AudioBatch([audio])), pcm])

    @staticmethod
    def _send(socket: zmq.Socket[bytes], parts: list[bytes]) -> None:
        assert socket.poll(30_000, zmq.POLLOUT)
        socket.send_multipart(parts)


async def test_what_an_insider_makes_up_about_a_session_harms_nobody(scene: Scene) -> None:
    """A verdict that there is none of, impossible rates, a hole of 2 ** 31 samples."""
    transcriber = scene.system.transcribers[0]
    usage = transcriber.usage()
    assert usage is not None
    counts: dict[str, Callable[[], float]] = {
        "verdicts": lambda: scene.count("bad_envelopes:verdicts"),
        "results": lambda: scene.count("bad_envelopes:results"),
        "audio": lambda: scene.system.metrics(transcriber).get("bad_envelopes:audio", 0.0),
    }
    before = {link: count() for link, count in counts.items()}
    mark, heard = scene.mark, len(transcriber.process.lines)
    run_dir = scene.system.stages.run_dir
    links = Links(StageSettings(run_dir=str(run_dir)))
    try:
        insider = Insider(links, run_dir)
        async with scene.beside("an insider on every link") as good:
            await asyncio.to_thread(insider.wait_for_the_gateway)
            for seq in range(ROUNDS):
                for client in good:
                    insider.lie(bytes.fromhex(client.session), seq)
            for link, count in counts.items():
                await until(lambda c=count, at=link: c() >= before[at] + 2 * ROUNDS, link, 60)  # type: ignore[misc]
    finally:
        links.close_all()
    after = transcriber.usage()
    assert after is not None
    assert after.rss_bytes < usage.rss_bytes + (64 << 20)
    complaints = scene.lines_with("dropped a message", mark)
    assert complaints
    assert len(complaints) < ROUNDS
    for lines in (scene.lines_with("Traceback", mark), transcriber.process.lines[heard:]):
        assert not [line for line in lines if "Traceback" in line]


def test_a_transcriber_whose_name_cannot_be_looked_up_is_named_where_readiness_is_asked(
    folder: Path,
) -> None:
    hello = envelope.TranscriberHello(
        instance="nowhere",
        pid=1,
        audio_endpoint="tcp://nowhere.invalid:5001",
        commands_endpoint="tcp://nowhere.invalid:5002",
        engine="null",
        sessions=0,
        max_sessions=1,
    )
    with gateway_with(folder, "--insecure-tcp") as (_, _, metrics_port, _):
        links = Links(StageSettings())
        try:
            results = links.open(LinkEnd.RESULTS_OUT, f"ipc://{folder / 'run'}/results.sock")

            def is_told() -> bool:
                assert results.poll(30_000, zmq.POLLOUT)
                results.send_multipart(sealed(envelope.pack(hello)))
                status, text = answer(metrics_port, "/readyz")
                return status == 503 and "cannot look up nowhere.invalid" in text

            wait_until(is_told, "/readyz names it", 60)
        finally:
            links.close_all()
