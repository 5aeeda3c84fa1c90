"""A transcriber's requests to engine processes, over real sockets, with engines of the test's."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from faster_whisper.feature_extractor import FeatureExtractor

from common import envelope
from common.addresses import Names
from common.errors import EnvelopeError
from common.links import LinkEnd, Links
from common.settings import StageSettings, TranscriberSettings
from common.stamps import is_sealed, sealed
from transcriber.engine_client import EngineClient
from transcriber.engine_pool import Lost
from transcriber.engine_stage import check_audio, request_of
from transcriber.engines import patience
from transcriber.engines.base import AudioRequest, EngineError
from transcriber.schedule import Kind
from transcriber.stage import engine_endpoints

REQUEST = AudioRequest(np.linspace(-0.5, 0.5, 1_600, dtype=np.float32), "en")


class Bench:
    """A client, and the sockets of engines that the test plays."""

    def __init__(self, links: Links, folder: Path) -> None:
        self.links = links
        self.folder = folder
        self.endpoints: list[str] = []
        self.engines: dict[str, zmq.Socket[bytes]] = {}
        self.bad = 0
        self.damaged = 0
        self.lost: list[Lost] = []
        self.client = EngineClient(
            "t",
            links,
            lambda: self.endpoints,
            self._count,
            self.lost.append,
            silent_s=0.5,
            on_damage=self._count_damage,
        )

    def _count(self) -> None:
        self.bad += 1

    def _count_damage(self) -> None:
        self.damaged += 1

    async def engine(self, name: str) -> None:
        endpoint = f"ipc://{self.folder}/engine-{name}.sock"
        self.engines[name] = self.links.open(LinkEnd.ENGINE_IN, endpoint)
        self.endpoints.append(endpoint)
        self.client.beat()
        await self.answer_ping(name)

    async def receive(self, name: str) -> tuple[bytes, envelope.EngineMessage, bytes]:
        socket = self.engines[name]
        async with asyncio.timeout(10):
            while not socket.poll(0):  # noqa: ASYNC110 - the test plays a peer by hand
                await asyncio.sleep(0.005)
        peer, packed, *payload, seal = socket.recv_multipart()
        assert is_sealed(seal, packed, *payload)
        return peer, envelope.unpack_engine(packed), payload[0] if payload else b""

    async def next(self, name: str) -> tuple[bytes, envelope.EngineMessage, bytes]:
        """The next message that is no ping."""
        while True:
            peer, message, payload = await self.receive(name)
            if not isinstance(message, envelope.EnginePing):
                return peer, message, payload

    async def answer_ping(self, name: str) -> None:
        peer, message, _ = await self.receive(name)
        assert isinstance(message, envelope.EnginePing)
        self.tell(name, peer, envelope.EngineHello(name, 1, "null", 1, 0.0))
        async with asyncio.timeout(10):
            while name not in self.client._pool.instances:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def tell(self, name: str, peer: bytes, message: envelope.AnswersMessage) -> None:
        self.engines[name].send_multipart([peer, *sealed(envelope.pack(message))])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="stt", dir="/tmp") as folder:
        links = Links(StageSettings(run_dir=folder))
        bench = Bench(links, Path(folder))
        yield bench
        bench.client.close()
        bench.client.close_links()
        links.close_all()


async def test_a_request_carries_its_samples_and_comes_back_as_text(bench: Bench) -> None:
    await bench.engine("a")
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    peer, message, payload = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    assert (message.session, message.request_kind, message.language) == ("s", Kind.FINAL, "en")
    assert len(payload) == 2 * message.samples == 3_200
    bench.tell("a", peer, envelope.Transcribed(message.request, "Hello.", "en", 0.5, "", '{"x":1}'))
    transcript = await asyncio.wrap_future(future)
    assert (transcript.text, transcript.info.language_probability) == ("Hello.", 0.5)
    assert transcript.metadata == {"x": 1}


async def test_an_engines_error_is_the_requests(bench: Bench) -> None:
    await bench.engine("a")
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    peer, message, _ = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    bench.tell("a", peer, envelope.Transcribed(message.request, "", error="no memory"))
    with pytest.raises(EngineError, match="no memory"):
        await asyncio.wrap_future(future)


async def test_a_promoted_request_is_asked_again_as_a_final(bench: Bench) -> None:
    """An early one would give way to the session's next, and its sentence be lost."""
    await bench.engine("a")
    future = bench.client.submit("s", Kind.EARLY, REQUEST)
    _, message, _ = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    assert message.request_kind == Kind.EARLY
    bench.client.promote(future)
    _, promotion, _ = await bench.next("a")
    assert promotion == envelope.Promote(message.request)
    bench.links.close(bench.engines["a"])  # it dies
    await bench.engine("b")
    peer, again, _ = await bench.next("b")
    assert isinstance(again, envelope.Transcribe)
    assert (again.request, again.request_kind) == (message.request, Kind.FINAL)
    bench.tell("b", peer, envelope.Transcribed(again.request, "whole"))
    assert (await asyncio.wrap_future(future)).text == "whole"
    assert [lost.gone for lost in bench.lost] == [["a"]]


async def test_another_is_asked_when_an_engine_hangs_and_the_first_answer_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it lives all the time; where it was only slow, its work is not thrown away."""
    monkeypatch.setattr(patience, "LEAST_S", 0.2)
    monkeypatch.setattr(patience, "FACTOR", 0.0)
    await bench.engine("a")
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    peer, message, _ = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    await bench.engine("b")
    bench.client.beat()
    other, _, _ = await bench.receive("b")
    async with asyncio.timeout(10):
        while not bench.lost:
            for name, to in (("a", peer), ("b", other)):
                bench.tell(name, to, envelope.EngineHello(name, 1, "null", 1, 0.0))
            bench.client.beat()
            await asyncio.sleep(0.02)
    assert (bench.lost[0].hung, bench.lost[0].again) == (["a"], [message.request])
    _, again, _ = await bench.next("b")
    assert isinstance(again, envelope.Transcribe)
    assert again.request == message.request
    bench.tell("a", peer, envelope.Transcribed(message.request, "late"))
    assert (await asyncio.wrap_future(future)).text == "late"
    _, withdrawn, _ = await bench.next("b")
    assert withdrawn == envelope.Withdraw(message.request)


async def test_what_is_cancelled_is_withdrawn(bench: Bench) -> None:
    await bench.engine("a")
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    _, message, _ = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    bench.client.forget("s")
    _, withdrawn, _ = await bench.next("a")
    assert withdrawn == envelope.Withdraw(message.request)
    assert future.cancelled()


async def test_garbage_from_an_engine_is_counted_and_harms_nothing(bench: Bench) -> None:
    await bench.engine("a")
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    peer, message, _ = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    bench.engines["a"].send_multipart([peer, *sealed(b"\xc1garbage")])
    bench.tell("a", peer, envelope.Transcribed(message.request + 7, "for nobody"))
    bench.tell("a", peer, envelope.Transcribed(message.request, "text"))
    assert (await asyncio.wrap_future(future)).text == "text"
    assert bench.bad == 1


async def test_a_text_that_was_damaged_on_its_way_is_never_taken_for_one(bench: Bench) -> None:
    await bench.engine("a")
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    peer, message, _ = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    packed, seal = sealed(envelope.pack(envelope.Transcribed(message.request, "text")))
    bench.engines["a"].send_multipart([peer, packed.replace(b"text", b"test"), seal])
    bench.tell("a", peer, envelope.Transcribed(message.request, "text"))
    assert (await asyncio.wrap_future(future)).text == "text"
    assert (bench.damaged, bench.bad) == (1, 0)


async def test_features_that_an_engine_wants_come_with_the_samples(bench: Bench) -> None:
    """They are what the engine would compute, made on the session's thread."""
    await bench.engine("a")
    bench.client._features.bins = 80
    future = bench.client.submit("s", Kind.FINAL, REQUEST)
    _, message, payload = await bench.next("a")
    assert isinstance(message, envelope.Transcribe)
    check_audio(message, payload)
    request = request_of(message, payload)
    expected = FeatureExtractor(feature_size=80)(REQUEST.audio)[..., :-1]
    assert request.features is not None
    assert np.array_equal(request.features, expected)
    assert np.allclose(request.audio, REQUEST.audio, atol=1 / 32_768)
    future.cancel()


@pytest.mark.parametrize(
    "samples, bins, payload",
    [(2, 0, b""), (2, 0, b"123"), (2, 0, b"12345678"), (2, 3, b"1234"), (2, 3, bytes(4 + 13))],
)
def test_audio_of_another_length_than_it_says_is_refused(
    samples: int, bins: int, payload: bytes
) -> None:
    message = envelope.Transcribe(1, "s", 0, "en", True, False, samples, bins)
    with pytest.raises(EnvelopeError):
        check_audio(message, payload)


def test_a_host_name_may_stand_for_several_engines_and_is_looked_up() -> None:
    names = Names(lambda host: {"engines": ["10.0.0.1", "10.0.0.2"]}.get(host, []))
    settings = TranscriberSettings(engines_at="tcp://engines:5560, tcp://10.0.0.2:5560")
    names.addresses("engines", wait_s=10)
    assert engine_endpoints(settings, names) == ["tcp://10.0.0.1:5560", "tcp://10.0.0.2:5560"]
    unknown = TranscriberSettings(engines_at="tcp://nobody:5560")
    assert engine_endpoints(unknown, names) == [], "not yet, and not for ever"
