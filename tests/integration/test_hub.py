"""The gateway's hub on real links, with a transcriber whose messages the test makes up."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator

import pytest
import zmq

from common import envelope
from common.events import FullSentence
from common.links import Links
from common.settings import GatewaySettings
from common.stamps import sealed
from gateway.clients import Clients
from gateway.hub import Hub
from gateway.metrics import GatewayMetrics
from gateway.reception import Reception
from gateway.retention import RetentionLedger
from gateway.session import Session
from tests.unit.gateway.fake_client import FakeClient

SAMPLES = 1_000
COMMIT = envelope.Commit(1, 0, SAMPLES)


class World:
    """A hub with one session, open on transcriber ``t``, which was sent one frame."""

    def __init__(self, settings: GatewaySettings, links: Links) -> None:
        metrics = self.metrics = GatewayMetrics()
        self.settings = settings
        clients = Clients()
        ledger: RetentionLedger[bytes] = RetentionLedger(1 << 20, 1 << 20)
        self.hub = Hub(settings, links, metrics, clients, ledger)
        reception = Reception(settings, metrics, self.hub, clients, ledger)
        self.client = FakeClient()
        folder = settings.run_path
        hello = envelope.TranscriberHello(
            "t", 1, f"ipc://{folder}/audio.sock", f"ipc://{folder}/commands.sock", "null", 0, 8
        )
        self.hub.placement.hear(hello, 0.0)
        self.stream = reception.begin(self.client, wants_events=True)
        self.session = self.stream.session
        self.hub.placement.wake(self.session)
        self.open()
        window = self.session.window
        window.sent(window.accept(b"frame", 0.0, 0), 0.0)

    def open(self) -> None:
        opened = envelope.Opened("t", self.session.id, epoch=self.session.seat.epoch)
        self.hub.placement._on_opened(opened)
        assert self.session.seat.is_open

    def hears(self, message: envelope.Message) -> None:
        self.hub._on_result_messages([sealed(envelope.pack(message))])

    def ack(self, *, sentences: int) -> envelope.AckBatch:
        epoch = self.session.seat.epoch
        return envelope.AckBatch(
            "t", [envelope.Ack(self.session.id, 1, 1, [], COMMIT, epoch, sentences)]
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        settings = GatewaySettings(run_dir=folder)
        links = Links(settings)
        world = World(settings, links)
        yield world
        world.hub.close()
        links.close_all()


async def test_a_sentence_that_was_lost_on_the_way_is_spoken_again(world: World) -> None:
    """The commit of what follows it must not be taken, or its audio were gone."""
    epoch = world.session.seat.epoch
    world.hears(world.ack(sentences=1))
    assert world.session.seat.epoch > epoch
    assert world.session.window.commit == envelope.Commit(0, 0, 0)
    world.open()
    assert world.session.window.to_send() == 0, "the audio is sent again"


@pytest.mark.parametrize("last", ["sentence", "drained"])
async def test_whatever_follows_a_sentence_that_was_lost_tells_of_it(
    world: World, last: str
) -> None:
    """Acknowledgements may be lost, too: neither the next sentence nor the end covers it."""
    session = world.session
    session.finishing = True
    seat = session.seat
    if last == "sentence":
        world.hears(
            envelope.Sentence("t", session.id, "two", 500, 900, COMMIT, "", seat.epoch, sentences=1)
        )
    else:
        world.hears(envelope.Drained("t", session.id, seat.epoch, sentences=1))
    assert session.seat.epoch > seat.epoch
    assert not session.drained
    assert session.window.commit == envelope.Commit(0, 0, 0)
    assert not [event for event in world.client.events if isinstance(event, FullSentence)]


async def test_commits_are_taken_when_all_their_sentences_came(world: World) -> None:
    epoch = world.session.seat.epoch
    world.hears(
        envelope.Sentence(
            "t", world.session.id, "one", 0, 500, envelope.Commit(0, 500, 500), "", epoch
        )
    )
    world.hears(world.ack(sentences=1))
    assert world.session.seat.epoch == epoch
    assert world.session.window.commit == COMMIT
    (sentence,) = [event for event in world.client.events if isinstance(event, FullSentence)]
    assert (sentence.text, sentence.committed, sentence.start_ms, sentence.end_ms) == (
        *("one", 0),
        *(0, 31),
    )
    assert sentence.provenance is not None


async def test_who_speaks_is_not_silent_however_long_ago_it_came(world: World) -> None:
    """Or its recorder would go to who waits, and its place to a newcomer, in mid-sentence."""
    came_s = world.session.active_s = time.monotonic() - 10 * world.settings.recorder_idle_s
    world.stream.accept(b"frame")
    assert world.session.active_s >= came_s + 10 * world.settings.recorder_idle_s


async def test_a_frame_that_is_damaged_in_the_gateways_memory_is_held_against_nobody(
    world: World,
) -> None:
    """Found when it is to be sent again: as if it had never come."""
    world.stream.accept(b"as it was received")
    frame = world.session.window.frame(1)
    assert frame is not None
    with zmq.Context() as context, context.socket(zmq.PULL) as verifier:
        verifier.connect(world.settings.endpoint("frames"))
        async with asyncio.timeout(20):
            while not frame.attempts:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)
            frame.message, frame.due_s = b"as memory has it now", 0.0
            while not frame.is_missing:
                world.hub.expire()
                await asyncio.sleep(0.01)
    damaged = world.metrics.registry.get_sample_value(
        "stt_internal_corruption_total", {"hop": "gateway"}
    )
    assert damaged == 1


async def test_the_end_is_told_again_only_once_all_was_fed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand sessions that end at once would be told it again and again for nothing."""
    told: list[Session] = []
    monkeypatch.setattr(world.hub.placement, "send_finish", told.append)
    world.hub.placement.registry.all()[0].last_heard_s = time.monotonic()
    world.hub.finish(world.session)
    world.hub.beat()
    assert told == [world.session]
    verdict = envelope.Verdict(world.session.id, 0, envelope.Code.OK, 1, 1, 1, 1, 16_000)
    attachment = world.hub._clients.get(world.session.id)
    assert attachment is not None
    world.hub._on_verdict(attachment, verdict, time.monotonic())
    world.hears(world.ack(sentences=0))
    world.hub.beat()
    assert told == [world.session] * 2
