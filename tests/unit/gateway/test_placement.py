"""Which transcriber serves which session, when transcribers come, refuse, drain and die."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import zmq

from common import envelope
from common.addresses import Target
from common.errors import SettingsError
from common.events import TranscriberChanged
from common.links import LinkEnd, Links
from common.settings import GatewaySettings
from gateway.clients import Attachment, Clients
from gateway.frames_out import FramesOut
from gateway.integrity_log import IntegrityLog
from gateway.metrics import GatewayMetrics
from gateway.placement import Placement
from gateway.rejection import RejectionPolicy
from gateway.seat import SeatState
from gateway.session import Session, SessionLimits
from tests.unit.gateway.fake_client import FakeClient

POLICY = RejectionPolicy(True, True, 5, envelope.OnCorruption.SILENCE)
PEER_TIMEOUT_S = 3.0
IDLE_S = 10.0


class FakeChannel:
    """Stands in for a command link: keeps what is sent."""

    def __init__(
        self,
        links: Links,
        where: Target,
        replies: object,
        on_opened: Callable[[envelope.Opened], None],
        on_gone: Callable[[], None],
    ) -> None:
        if where.endpoint == "nonsense":
            raise SettingsError("cannot connect to nonsense")
        self.sent: list[envelope.Message] = []
        self.on_opened = on_opened
        self.on_gone = on_gone
        self.closed = False

    def send(self, message: envelope.Message) -> None:
        assert not self.closed
        self.sent.append(message)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class FakeFramesOut:
    """Stands in for the frames link: keeps whose turn it is."""

    def __init__(self) -> None:
        self.queued: list[Session] = []

    def queue(self, session: Session) -> None:
        self.queued.append(session)

    def pump(self) -> None:
        pass


class Gateway:
    """A placement with its sessions, and transcribers that answer when told to."""

    def __init__(self, links: Links) -> None:
        self.metrics = GatewayMetrics()
        self.clients = Clients()
        self.client_end = FakeClient()
        self.events = self.client_end.events
        frames_out = FakeFramesOut()
        self.opened = frames_out.queued
        self.placement = Placement(
            "gateway",
            GatewaySettings(peer_timeout_s=PEER_TIMEOUT_S, recorder_idle_s=IDLE_S),
            links,
            self.metrics,
            self.clients,
            POLICY,
            cast(FramesOut, frames_out),
        )
        self.now_s = time.monotonic()

    def transcriber(
        self, instance: str, *, room: int = 10, draining: bool = False, endpoint: str = ""
    ) -> None:
        """A heartbeat."""
        hello = envelope.TranscriberHello(
            instance=instance,
            pid=1,
            audio_endpoint=f"ipc://audio-{instance}",
            commands_endpoint=endpoint or f"ipc://commands-{instance}",
            engine="null",
            sessions=0,
            max_sessions=room,
            draining=draining,
        )
        self.placement.hear(hello, self.now_s)

    def client(self, *, speaks: bool = True) -> Session:
        """A session that wants a recorder, if it speaks."""
        session = Session(
            peer="peer",
            wants_events=True,
            policy=POLICY,
            limits=SessionLimits(64, 4 << 20, 0.25, 4.0),
        )
        log = IntegrityLog("peer", POLICY, extended=False, summary_s=10)
        self.clients.add(Attachment(session, log, self.client_end), self.now_s)
        session.active_s = self.now_s
        if speaks:
            self.placement.wake(session)
        return session

    def channel(self, instance: str) -> FakeChannel:
        found = self.placement._channels[instance]
        assert isinstance(found, FakeChannel)
        return found

    def opens(self, instance: str) -> list[envelope.Open]:
        return [m for m in self.channel(instance).sent if isinstance(m, envelope.Open)]

    def answer(self, session: Session, error: str = "") -> None:
        """The transcriber answers a session's latest Open."""
        instance = session.seat.instance
        assert instance is not None
        self.channel(instance).on_opened(
            envelope.Opened(instance, session.id, error, session.seat.epoch)
        )

    def count(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stt_gateway_{name}")


@pytest.fixture
def links() -> Iterator[Links]:
    links = Links(GatewaySettings())
    yield links
    links.close_all()


@pytest.fixture
def gateway(links: Links, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr("gateway.placement.CommandChannel", FakeChannel)
    return Gateway(links)


def link_of(session: Session) -> SeatState:
    return session.seat.state


def send_frames(session: Session, count: int) -> None:
    for _ in range(count):
        session.window.sent(session.window.accept(b"message", 0.0, 0), 0.0)


# -- assigning ------------------------------------------------------------------------------------


def test_sessions_go_to_the_least_loaded(gateway: Gateway) -> None:
    gateway.transcriber("big", room=4)
    gateway.transcriber("small", room=2)
    places = [gateway.client().seat.instance for _ in range(6)]
    assert (places.count("big"), places.count("small")) == (4, 2)


def test_a_session_waits_until_a_transcriber_joins(gateway: Gateway) -> None:
    session = gateway.client()
    assert link_of(session) is SeatState.WAITING
    assert gateway.events == [TranscriberChanged("waiting")]
    gateway.transcriber("a")
    assert session.seat.instance == "a"
    assert link_of(session) is SeatState.OPENING


def test_a_session_that_ends_makes_room_for_one_that_waits(gateway: Gateway) -> None:
    gateway.transcriber("a", room=1)
    first, second = gateway.client(), gateway.client()
    assert (first.seat.instance, second.seat.state) == ("a", SeatState.WAITING)
    gateway.clients.remove(first.id)
    gateway.placement.remove(first)
    assert envelope.Close(first.id) in gateway.channel("a").sent
    assert second.seat.instance == "a"


def test_a_rejected_session_gets_no_new_recorder(gateway: Gateway) -> None:
    session = gateway.client()
    session.rejected = "too many corrupt frames"
    gateway.transcriber("a")
    assert link_of(session) is SeatState.WAITING


def test_a_transcriber_that_cannot_be_reached_is_not_used(gateway: Gateway) -> None:
    gateway.transcriber("odd", endpoint="nonsense")
    assert link_of(gateway.client()) is SeatState.WAITING
    gateway.placement.beat(gateway.now_s)


# -- opening --------------------------------------------------------------------------------------


def test_an_open_tells_what_a_recorder_must_know(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    (opened,) = gateway.opens("a")
    assert (opened.gateway, opened.session) == ("gateway", session.id)
    assert opened.start == envelope.Commit(0, 0, 0)
    assert (opened.window_frames, opened.tolerated, opened.failures) == (64, 5, 0)


def test_frames_may_be_sent_once_the_recorder_is_there(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    assert gateway.placement.channel_of(session) is None
    gateway.answer(session)
    assert link_of(session) is SeatState.OPEN
    assert gateway.opened == [session]
    assert session.seat.audio_endpoint == "ipc://audio-a"
    channel: object = gateway.placement.channel_of(session)
    assert channel is gateway.channel("a")
    assert gateway.events == [TranscriberChanged("open", 0)]
    assert gateway.count("replays_total") == 0


def test_an_answer_that_comes_twice_opens_once(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.answer(session)
    assert gateway.opened == [session]


def test_an_open_without_answer_is_repeated_with_its_epoch(gateway: Gateway) -> None:
    gateway.transcriber("a")
    gateway.client()
    gateway.placement.beat(gateway.now_s + 0.1)
    assert len(gateway.opens("a")) == 1
    gateway.now_s += PEER_TIMEOUT_S + 1
    gateway.transcriber("a")  # it lives
    gateway.placement.beat(gateway.now_s)
    first, second = gateway.opens("a")
    assert first == second


def test_an_answer_to_an_earlier_placement_is_stale(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    earlier = envelope.Opened("a", session.id, "", session.seat.epoch)
    gateway.answer(session, "full")
    gateway.placement.beat(gateway.now_s)
    assert session.seat.instance == "a"
    gateway.channel("a").on_opened(earlier)
    assert link_of(session) is SeatState.OPENING
    gateway.answer(session)
    assert link_of(session) is SeatState.OPEN


def test_an_answer_of_another_instance_or_session_changes_nothing(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    channel = gateway.channel("a")
    channel.on_opened(envelope.Opened("b", session.id, "", session.seat.epoch))
    channel.on_opened(envelope.Opened("a", b"x" * 16, "", session.seat.epoch))
    assert link_of(session) is SeatState.OPENING
    assert gateway.opened == []


def test_a_refused_session_tries_again_with_the_next_heartbeat(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session, "full: 64 sessions")
    assert link_of(session) is SeatState.WAITING
    assert session.seat.instance is None
    gateway.placement.beat(gateway.now_s)
    assert link_of(session) is SeatState.OPENING
    assert [opened.epoch for opened in gateway.opens("a")] == [1, 2]


def test_who_was_refused_by_one_asks_another_and_then_the_first_again(gateway: Gateway) -> None:
    """One that refuses stays the least loaded, and would be asked for ever."""
    gateway.transcriber("a")
    session = gateway.client()
    gateway.transcriber("b", room=1)
    gateway.answer(session, "no recorder: no more threads")
    gateway.placement.beat(gateway.now_s)
    assert session.seat.instance == "b"
    gateway.answer(session, "no recorder: no more threads")
    gateway.placement.beat(gateway.now_s)
    assert session.seat.instance == "a"


def test_a_refusal_of_an_earlier_placement_is_stale(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    refusal = envelope.Opened("a", session.id, "full", session.seat.epoch)
    gateway.answer(session, "full")
    gateway.placement.beat(gateway.now_s)
    gateway.answer(session)
    gateway.channel("a").on_opened(refusal)
    assert link_of(session) is SeatState.OPEN


def test_a_session_that_its_transcriber_lost_is_opened_again(gateway: Gateway) -> None:
    """The answer to a ping that lists it."""
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.answer(session, "it is not open here")
    assert not session.seat.audio_endpoint
    gateway.placement.beat(gateway.now_s)
    gateway.answer(session)
    assert link_of(session) is SeatState.OPEN
    assert session.replays == 1


# -- dying ----------------------------------------------------------------------------------------


def test_sessions_of_a_dead_transcriber_are_opened_on_another_from_their_commit(
    gateway: Gateway,
) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    send_frames(session, 5)
    session.window.acknowledge(
        envelope.Ack(session.id, 4, 4, [], envelope.Commit(2, 7, 300), session.seat.epoch)
    )
    gateway.transcriber("b")
    gateway.channel("a").on_gone()
    assert session.seat.instance == "b"
    (opened,) = gateway.opens("b")
    assert opened.start == envelope.Commit(2, 7, 300)
    assert opened.epoch == 2
    gateway.answer(session)
    assert gateway.events[-1] == TranscriberChanged("open", 2)
    assert (session.replays, gateway.count("replays_total")) == (1, 1)
    assert gateway.count("replayed_frames_total") == 2


def test_without_another_transcriber_sessions_wait_for_one(gateway: Gateway) -> None:
    gateway.transcriber("a")
    sessions = [gateway.client() for _ in range(3)]
    for session in sessions:
        gateway.answer(session)
    channel = gateway.channel("a")
    channel.on_gone()
    assert channel.closed
    assert {session.seat.state for session in sessions} == {SeatState.WAITING}
    assert gateway.count("transcribers") == 0
    gateway.transcriber("restarted")
    assert {session.seat.instance for session in sessions} == {"restarted"}


def test_a_silent_transcriber_is_given_up_and_counts_as_new_when_it_speaks(
    gateway: Gateway,
) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    first = gateway.channel("a")
    gateway.now_s += PEER_TIMEOUT_S + 0.1
    gateway.placement.beat(gateway.now_s)
    assert first.closed
    assert link_of(session) is SeatState.WAITING
    gateway.transcriber("a")
    assert gateway.channel("a") is not first
    assert gateway.opens("a")[0].epoch == 2


def test_after_a_pause_of_its_own_a_gateway_listens_before_it_gives_anybody_up(
    gateway: Gateway,
) -> None:
    """What they said meanwhile waits to be read."""
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.placement.beat(gateway.now_s)
    gateway.now_s += 10 * PEER_TIMEOUT_S
    gateway.placement.beat(gateway.now_s)
    assert link_of(session) is SeatState.OPEN
    gateway.placement.beat(gateway.now_s + 0.1)
    assert link_of(session) is SeatState.WAITING


def test_what_a_dead_transcriber_said_last_is_not_heard(gateway: Gateway) -> None:
    gateway.transcriber("a")
    gateway.transcriber("b")
    session = gateway.client()
    place = session.seat.instance
    assert place is not None
    late = envelope.Opened(place, session.id, "", session.seat.epoch)
    channel = gateway.channel(place)
    channel.on_gone()
    channel.on_opened(late)
    assert session.seat.instance != place
    assert link_of(session) is SeatState.OPENING


# -- resting ---------------------------------------------------------------------------------------


def test_a_session_that_has_sent_nothing_takes_no_recorder(gateway: Gateway) -> None:
    gateway.transcriber("a", room=1)
    silent = gateway.client(speaks=False)
    speaking = gateway.client()
    assert (silent.seat.state, speaking.seat.instance) == (SeatState.WAITING, "a")
    gateway.placement.beat(gateway.now_s)
    assert gateway.placement.waiting == []


def test_a_silent_session_gives_its_recorder_to_one_that_waits(gateway: Gateway) -> None:
    gateway.transcriber("a", room=2)
    silent, speaking, newcomer = gateway.client(), gateway.client(), gateway.client()
    for session in (silent, speaking):
        gateway.answer(session)
    gateway.now_s += IDLE_S + 1
    gateway.transcriber("a", room=2)
    speaking.active_s = gateway.now_s
    assert gateway.placement.waiting == [newcomer]
    gateway.placement.beat(gateway.now_s)
    assert silent.resting
    assert silent.seat.state is SeatState.WAITING
    assert (speaking.seat.instance, newcomer.seat.instance) == ("a", "a")
    assert gateway.count("recorders_given_back_total") == 1
    gateway.placement.beat(gateway.now_s)
    assert gateway.placement.waiting == []
    gateway.placement.wake(silent)
    assert gateway.placement.waiting == [silent], "it waits for its turn now"


def test_nobody_gives_a_recorder_back_while_there_is_room(gateway: Gateway) -> None:
    gateway.transcriber("a", room=2)
    session = gateway.client()
    gateway.answer(session)
    gateway.now_s += 10 * IDLE_S
    gateway.transcriber("a", room=2)
    gateway.placement.beat(gateway.now_s)
    assert session.seat.is_open


def test_a_session_whose_frames_are_on_their_way_keeps_its_recorder(gateway: Gateway) -> None:
    gateway.transcriber("a", room=1)
    busy, _ = gateway.client(), gateway.client()
    gateway.answer(busy)
    send_frames(busy, 1)
    gateway.now_s += 10 * IDLE_S
    gateway.transcriber("a", room=1)
    gateway.placement.beat(gateway.now_s)
    assert busy.seat.is_open


# -- draining -------------------------------------------------------------------------------------


def test_a_draining_transcriber_gives_its_sessions_to_others(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.transcriber("b")
    gateway.transcriber("a", draining=True)
    assert session.seat.instance == "b"
    assert envelope.Close(session.id) in gateway.channel("a").sent


def test_only_as_many_sessions_move_as_there_is_room_for(gateway: Gateway) -> None:
    gateway.transcriber("a")
    sessions = [gateway.client() for _ in range(5)]
    for session in sessions:
        gateway.answer(session)
    gateway.transcriber("b", room=2)
    gateway.transcriber("a", draining=True)
    assert sorted(s.seat.instance or "" for s in sessions) == ["a", "a", "a", "b", "b"]
    assert sum(s.seat.state is SeatState.OPEN for s in sessions) == 3


def test_without_another_one_a_draining_transcriber_finishes_what_it_has(gateway: Gateway) -> None:
    gateway.transcriber("a")
    session = gateway.client()
    gateway.answer(session)
    gateway.transcriber("a", draining=True)
    assert link_of(session) is SeatState.OPEN
    assert link_of(gateway.client()) is SeatState.WAITING


# -- heartbeats -----------------------------------------------------------------------------------


def test_pings_list_a_transcribers_sessions_with_the_latest_epoch(gateway: Gateway) -> None:
    gateway.transcriber("a")
    gateway.transcriber("b")
    sessions = [gateway.client() for _ in range(4)]
    gateway.placement.beat(gateway.now_s)
    for instance in ("a", "b"):
        ping = gateway.channel(instance).sent[-1]
        assert isinstance(ping, envelope.Ping)
        assert set(ping.sessions) == {s.id for s in sessions if s.seat.instance == instance}
        assert (ping.gateway, ping.epoch) == ("gateway", 4)


def test_closing_closes_every_link(gateway: Gateway) -> None:
    gateway.transcriber("a")
    gateway.transcriber("b")
    channels = [gateway.channel("a"), gateway.channel("b")]
    gateway.placement.close()
    assert all(channel.closed for channel in channels)


# -- over real sockets ----------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.005)


async def test_over_a_real_link_a_session_is_opened_and_its_peers_death_is_noticed(
    links: Links,
) -> None:
    gateway = Gateway(links)
    peers = Links(GatewaySettings())
    with tempfile.TemporaryDirectory(prefix="stt", dir="/tmp") as folder:
        endpoint = f"ipc://{Path(folder) / 'commands.sock'}"
        commands = peers.open(LinkEnd.COMMANDS_IN, endpoint)
        try:
            gateway.transcriber("a", endpoint=endpoint)
            session = gateway.client()
            assert await asyncio.to_thread(commands.poll, 5_000)
            peer, packed = commands.recv_multipart(zmq.NOBLOCK)
            opened = envelope.unpack_commands(packed)
            assert isinstance(opened, envelope.Open)
            assert opened.session == session.id
            answer = envelope.Opened("a", session.id, epoch=opened.epoch)
            commands.send_multipart([peer, envelope.pack(answer)])
            await until(lambda: session.seat.state is SeatState.OPEN)
            peers.close(commands)
            await until(lambda: session.seat.state is SeatState.WAITING)
            assert len(gateway.placement.registry) == 0
        finally:
            gateway.placement.close()
            peers.close_all()
