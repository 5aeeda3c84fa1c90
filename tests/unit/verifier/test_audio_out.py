from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import zmq

from common.errors import SettingsError
from verifier.audio_out import ZERO_COPY_BYTES, AudioOut, Socket


class FakeSocket:
    """Takes as many messages as it has room for."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.room = 1_000_000
        self.sent: list[bytes] = []
        self.copied: list[bool] = []
        self.closed = False
        self._header = b""

    def send(self, part: bytes | memoryview, flags: int, copy: bool = True) -> None:
        assert flags & zmq.NOBLOCK
        if len(self.sent) >= self.room:
            raise zmq.Again
        if flags & zmq.SNDMORE:
            self._header = self._header or bytes(part)
        else:
            self.sent.append(self._header)
            self._header = b""
            self.copied.append(copy)


class World:
    """An AudioOut and the sockets that it opened, by endpoint."""

    def __init__(self, **bounds: float) -> None:
        self.sockets: dict[str, FakeSocket] = {}
        self.full: set[str] = set()
        self.out = AudioOut(self._open, self._close, 0.2, **bounds)  # type: ignore[arg-type]

    def _open(self, endpoint: str) -> Socket:
        if endpoint == "nonsense":
            raise SettingsError("cannot connect to nonsense")
        socket = FakeSocket(endpoint)
        if endpoint in self.full:
            socket.room = 0
        self.sockets[endpoint] = socket
        return cast("Socket", socket)

    def _close(self, socket: Socket) -> None:
        cast("FakeSocket", socket).closed = True

    def send(self, endpoint: str, name: str, now_s: float = 0.0) -> None:
        self.out.send(endpoint, name.encode(), [memoryview(b"pcm")], now_s)

    def sent(self, endpoint: str) -> str:
        return b"".join(self.sockets[endpoint].sent).decode()


@pytest.fixture
def world() -> World:
    return World(max_endpoints=3, waiting_frames=4, idle_s=60.0)


def test_a_socket_is_opened_once_an_endpoint(world: World) -> None:
    world.send("tcp://a", "1")
    first = world.sockets["tcp://a"]
    world.send("tcp://a", "2")
    world.send("tcp://b", "3")
    assert world.sockets["tcp://a"] is first
    assert (world.sent("tcp://a"), world.sent("tcp://b")) == ("12", "3")
    assert len(world.out) == 2


def test_large_audio_is_lent_and_small_audio_copied(world: World) -> None:
    for size in (8192, ZERO_COPY_BYTES - 1, ZERO_COPY_BYTES, 1 << 20):
        world.out.send("tcp://a", b"", [memoryview(bytes(size))], 0.0)
    assert world.sockets["tcp://a"].copied == [True, True, False, False]


def test_what_finds_no_room_waits_and_goes_out_in_order(world: World) -> None:
    world.full.add("tcp://a")
    for name in "123":
        world.send("tcp://a", name, 1.0)
    assert [cast("FakeSocket", s).endpoint for s in world.out.blocked] == ["tcp://a"]
    assert world.out.next_deadline_s() == 1.2
    world.sockets["tcp://a"].room = 2
    world.out.flush(1.1)
    assert world.sent("tcp://a") == "12"
    assert world.out.next_deadline_s() == pytest.approx(1.3), "progress starts the wait anew"
    world.sockets["tcp://a"].room = 3
    world.out.flush(1.2)
    assert world.sent("tcp://a") == "123"
    assert list(world.out.blocked) == []
    assert world.out.next_deadline_s() is None
    assert world.out.dropped == {"stalled": 0, "closed": 0}


def test_nothing_overtakes_what_waits(world: World) -> None:
    world.full.add("tcp://a")
    world.send("tcp://a", "1")
    world.sockets["tcp://a"].room = 9
    world.send("tcp://a", "2")
    world.out.flush(0.1)
    assert world.sent("tcp://a") == "12"


def test_after_the_wait_a_transcriber_is_stalled_and_its_audio_dropped_at_once(
    world: World,
) -> None:
    world.full.add("tcp://a")
    world.send("tcp://a", "1", 0.0)
    world.send("tcp://a", "2", 0.1)
    world.out.flush(0.2)
    assert world.out.dropped["stalled"] == 2
    world.send("tcp://a", "3", 0.3)
    assert world.out.dropped["stalled"] == 3
    assert list(world.out.blocked) == []


def test_where_no_other_would_be_held_up_frames_wait_for_longer() -> None:
    """A transcriber that is busy for a second would be sent all of it twice."""
    world = World(alone_s=2.0)
    world.full.add("tcp://a")
    world.send("tcp://a", "1", 0.0)
    assert world.out.next_deadline_s() == 2.0
    world.out.flush(1.9)
    assert world.out.dropped["stalled"] == 0
    world.send("tcp://b", "2", 1.9)
    assert world.out.next_deadline_s() == 0.2, "now there is another"
    world.out.flush(1.9)
    assert world.out.dropped["stalled"] == 1


def test_the_longer_wait_ends_too() -> None:
    world = World(alone_s=2.0)
    world.full.add("tcp://a")
    world.send("tcp://a", "1", 0.0)
    world.out.flush(2.0)
    assert world.out.dropped["stalled"] == 1


def test_a_stalled_transcriber_that_reads_again_is_served_and_waited_for_again(
    world: World,
) -> None:
    world.full.add("tcp://a")
    world.send("tcp://a", "1", 0.0)
    world.out.flush(0.2)
    world.sockets["tcp://a"].room = 1
    world.send("tcp://a", "2", 1.0)
    assert world.sent("tcp://a") == "2"
    world.send("tcp://a", "3", 2.0)
    assert world.out.next_deadline_s() == 2.2


def test_others_are_served_while_one_is_waited_for(world: World) -> None:
    world.full.add("tcp://stuck")
    world.send("tcp://stuck", "1")
    world.send("tcp://b", "2")
    assert world.sent("tcp://b") == "2"


def test_when_enough_waits_for_one_no_more_should_be_taken(world: World) -> None:
    world.full.add("tcp://a")
    full = []
    for name in "1234":
        world.send("tcp://a", name)
        full.append(world.out.full)
    world.out.flush(0.2)
    full.append(world.out.full)
    assert full == [False, False, False, True, False]


def test_what_waits_and_what_is_dropped_is_counted_in_frames(world: World) -> None:
    world.full.add("tcp://a")
    world.out.send("tcp://a", b"1", [memoryview(b"pcm")] * 3, 0.0)
    full = [world.out.full]
    world.out.send("tcp://a", b"2", [memoryview(b"pcm")], 0.0)
    full.append(world.out.full)
    assert full == [False, True]
    world.out.flush(0.2)
    assert world.out.dropped["stalled"] == 4
    world.out.send("tcp://a", b"3", [memoryview(b"pcm")] * 2, 0.3)
    assert world.out.dropped["stalled"] == 6


def test_the_endpoint_unused_longest_makes_room_for_another(world: World) -> None:
    for now_s, endpoint in enumerate(["tcp://a", "tcp://b", "tcp://c", "tcp://a", "tcp://d"]):
        world.send(endpoint, "x", float(now_s))
    assert len(world.out) == 3
    assert [e for e, s in world.sockets.items() if s.closed] == ["tcp://b"]


def test_what_waited_for_a_closed_endpoint_is_counted(world: World) -> None:
    world.full.add("tcp://a")
    world.send("tcp://a", "1", 0.0)
    for now_s, endpoint in enumerate(["tcp://b", "tcp://c", "tcp://d"], start=1):
        world.send(endpoint, "x", float(now_s))
    assert world.out.dropped["closed"] == 1
    assert list(world.out.blocked) == []


def test_an_idle_endpoint_is_closed(world: World) -> None:
    world.send("tcp://a", "1", 0.0)
    world.send("tcp://b", "1", 30.0)
    world.out.close_unused(59.9)
    assert len(world.out) == 2
    world.out.close_unused(60.0)
    assert world.sockets["tcp://a"].closed
    assert not world.sockets["tcp://b"].closed


def test_an_endpoint_whose_ipc_file_vanished_is_closed(world: World, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    for endpoint in (f"ipc://{there}", f"ipc://{tmp_path}/gone", "ipc://@abstract"):
        world.send(endpoint, "1", 0.0)
    world.out.close_unused(0.5)
    assert [e for e, s in world.sockets.items() if s.closed] == [f"ipc://{tmp_path}/gone"]


def test_one_whose_ipc_file_has_yet_to_appear_is_waited_for(world: World, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/later"
    world.full.add(endpoint)
    world.send(endpoint, "1", 0.0)
    world.out.close_unused(0.1)
    assert not world.sockets[endpoint].closed


def test_an_impossible_endpoint_is_an_error_and_leaves_nothing(world: World) -> None:
    with pytest.raises(SettingsError):
        world.send("nonsense", "1")
    assert len(world.out) == 0


def test_closing_closes_all(world: World) -> None:
    world.send("tcp://a", "1")
    world.send("tcp://b", "1")
    world.out.close()
    assert all(socket.closed for socket in world.sockets.values())
    assert len(world.out) == 0
