"""The gateway's hub on real links, with a transcriber whose messages the test makes up."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator

import pytest

from common import envelope
from common.events import FullSentence, Notice, ServerEvent
from common.links import Links
from common.settings import GatewaySettings
from gateway.hub import Hub
from gateway.integrity_log import IntegrityLog
from gateway.metrics import GatewayMetrics
from gateway.session import Limits, Link, Session

SAMPLES = 1_000
COMMIT = envelope.Commit(1, 0, SAMPLES)


class World:
    """A hub with one session, open on transcriber ``t``, which was sent one frame."""

    def __init__(self, settings: GatewaySettings, links: Links) -> None:
        metrics = GatewayMetrics()
        self.hub = Hub(settings, links, metrics)
        self.events: list[ServerEvent | Notice] = []
        self.session = Session(
            peer="peer",
            wants_events=True,
            policy=self.hub.policy,
            limits=Limits(64, 4 << 20, 0.25, 4.0),
            log=IntegrityLog("peer", self.hub.policy, extended=False, summary_s=10),
            tally=metrics.tally,
            deliver=self.events.append,
        )
        folder = settings.run_path
        hello = envelope.TranscriberHello(
            "t", 1, f"ipc://{folder}/audio.sock", f"ipc://{folder}/commands.sock", "null", 0, 8
        )
        self.hub.placement.hear(hello, 0.0)
        self.hub.add(self.session)
        self.open()
        window = self.session.window
        window.sent(window.accept(b"frame", 0.0, 0), 0.0)

    def open(self) -> None:
        opened = envelope.Opened("t", self.session.id, epoch=self.session.epoch)
        self.hub.placement._on_opened(opened)
        assert self.session.link is Link.OPEN

    def hears(self, message: envelope.Message) -> None:
        self.hub._on_result_messages([[envelope.pack(message)]])

    def ack(self, *, sentences: int) -> envelope.AckBatch:
        epoch = self.session.epoch
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
    epoch = world.session.epoch
    world.hears(world.ack(sentences=1))
    assert world.session.epoch > epoch
    assert world.session.window.commit == envelope.Commit(0, 0, 0)
    world.open()
    assert world.session.window.to_send() == 0, "the audio is sent again"


async def test_commits_are_taken_when_all_their_sentences_came(world: World) -> None:
    epoch = world.session.epoch
    world.hears(
        envelope.Sentence(
            "t", world.session.id, "one", 0, 500, envelope.Commit(0, 500, 500), "", epoch
        )
    )
    world.hears(world.ack(sentences=1))
    assert world.session.epoch == epoch
    assert world.session.window.commit == COMMIT
    assert FullSentence("one", 0) in world.events
