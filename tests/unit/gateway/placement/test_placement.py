"""Which transcriber serves which session, when transcribers come, refuse and are asked again."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import zmq

from common import envelope
from common.events import TranscriberChanged
from common.links import LinkEnd, Links
from common.settings import GatewaySettings
from common.stamps import sealed
from gateway.seat import SeatState
from tests.unit.gateway.placement.placed import (
    PEER_TIMEOUT_S,
    Gateway,
    link_of,
)

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
    gateway.answer(session, "full: 64 sessions")
    assert gateway.events == [TranscriberChanged("waiting")], "its client is told, and once"


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


async def test_a_transcriber_for_which_no_socket_is_left_is_not_counted_on(links: Links) -> None:
    """Whether the link itself has none, or what watches it; the next heartbeat tries again."""
    links._context.set(zmq.MAX_SOCKETS, 4)
    gateway = Gateway(links)
    others = [links.open(LinkEnd.AUDIO_OUT, "ipc:///tmp/nobody-is-here.sock") for _ in range(3)]
    others.append(links.open(LinkEnd.AUDIO_OUT, "ipc:///tmp/nobody-is-here.sock"))
    session = gateway.client()
    try:
        for _ in range(2):
            gateway.transcriber("a")
            gateway.placement.beat(gateway.now_s)
            assert len(gateway.placement.registry) == 0
            assert session.seat.state is SeatState.WAITING
            links.close(others.pop())
    finally:
        gateway.placement.close()


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
            peer, packed, _ = commands.recv_multipart(zmq.NOBLOCK)
            opened = envelope.unpack_commands(packed)
            assert isinstance(opened, envelope.Open)
            assert opened.session == session.id
            answer = envelope.Opened("a", session.id, epoch=opened.epoch)
            commands.send_multipart([peer, *sealed(envelope.pack(answer))])
            await until(lambda: session.seat.state is SeatState.OPEN)
            peers.close(commands)
            await until(lambda: session.seat.state is SeatState.WAITING)
            assert len(gateway.placement.registry) == 0
        finally:
            gateway.placement.close()
            peers.close_all()
