from __future__ import annotations

import asyncio
import os
import socket as socket_module
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from common.envelope import RUN_FRAMES
from common.errors import SettingsError
from common.links import (
    Inbox,
    LinkEnd,
    Links,
    Outlet,
    Parts,
    sweep_dead_sockets,
)
from common.settings import StageSettings
from tests.processes import free_port

WAIT_MS = 5_000


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose paths are short enough for ipc."""
    with tempfile.TemporaryDirectory(prefix="stt", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def links() -> Iterator[Links]:
    links = Links(StageSettings())
    yield links
    links.close_all()


# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", LinkEnd)
def test_no_end_is_unbounded_and_none_lingers_for_ever(end: LinkEnd) -> None:
    assert 0 < end.high_water <= 4_096
    assert 0 <= end.linger_ms <= 1_000


@pytest.mark.parametrize(
    "one, other, patterns",
    [
        (LinkEnd.FRAMES_OUT, LinkEnd.FRAMES_IN, {"PUSH", "PULL"}),
        (LinkEnd.VERDICTS_OUT, LinkEnd.VERDICTS_IN, {"XPUB", "SUB"}),
        (LinkEnd.AUDIO_OUT, LinkEnd.AUDIO_IN, {"PUSH", "PULL"}),
        (LinkEnd.RESULTS_OUT, LinkEnd.RESULTS_IN, {"PUSH", "PULL"}),
        (LinkEnd.COMMANDS_OUT, LinkEnd.COMMANDS_IN, {"DEALER", "ROUTER"}),
    ],
)
def test_the_ends_of_a_link_fit_and_one_of_them_binds(
    one: LinkEnd, other: LinkEnd, patterns: set[str]
) -> None:
    assert {one.pattern, other.pattern} == patterns
    assert one.binds is not other.binds


def test_a_stopped_peer_hoards_few_frames() -> None:
    """Which is all that is retransmitted when a verifier stops."""
    assert (LinkEnd.FRAMES_OUT.high_water + LinkEnd.FRAMES_IN.high_water) * RUN_FRAMES <= 32


@pytest.mark.parametrize("end", LinkEnd)
def test_an_open_socket_has_the_settings_of_its_row(
    end: LinkEnd, links: Links, folder: Path
) -> None:
    socket = links.open(end, f"ipc://{folder}/x.sock")
    assert socket.get(zmq.SNDHWM) == end.high_water
    assert socket.get(zmq.RCVHWM) == end.high_water
    assert socket.get(zmq.LINGER) == end.linger_ms
    assert socket.get(zmq.TYPE) == getattr(zmq, end.pattern)


# -- opening and closing --------------------------------------------------------------------------


def test_the_folder_of_an_ipc_socket_is_private_and_the_file_goes_with_it(folder: Path) -> None:
    links = Links(StageSettings())
    path = folder / "run" / "frames.sock"
    links.open(LinkEnd.FRAMES_OUT, f"ipc://{path}")
    assert path.is_socket()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    links.close_all()
    assert not path.exists()


def test_an_ipc_path_that_the_kernel_would_cut_is_refused(links: Links, folder: Path) -> None:
    long = folder / ("x" * 107)
    with pytest.raises(SettingsError, match="longer than 107 bytes"):
        links.open(LinkEnd.FRAMES_OUT, f"ipc://{long}")


@pytest.mark.parametrize("end", [LinkEnd.AUDIO_OUT, LinkEnd.AUDIO_IN])
def test_an_endpoint_that_makes_no_sense_is_named_and_leaves_no_socket(
    end: LinkEnd, links: Links
) -> None:
    for _ in range(2_000):  # more than a context has sockets
        with pytest.raises(SettingsError, match="nonsense"):
            links.open(end, "nonsense")
    links.open(LinkEnd.RESULTS_OUT, "ipc:///tmp/still-room.sock")


def test_a_taken_port_is_an_error_that_names_it(links: Links) -> None:
    port = free_port()
    insecure = Links(StageSettings(insecure_tcp=True))
    try:
        insecure.open(LinkEnd.RESULTS_IN, f"tcp://127.0.0.1:{port}")
        with pytest.raises(SettingsError, match=f"cannot bind tcp://127.0.0.1:{port}"):
            insecure.open(LinkEnd.RESULTS_IN, f"tcp://127.0.0.1:{port}")
    finally:
        insecure.close_all()


def test_where_no_socket_is_left_that_is_an_error_which_ends_nothing_else(links: Links) -> None:
    """As when a process has all the open files that it may have."""
    links._context.set(zmq.MAX_SOCKETS, 2)
    where = "ipc:///tmp/nobody-is-here.sock"
    for _ in range(2):
        links.open(LinkEnd.AUDIO_OUT, where)
    with pytest.raises(SettingsError, match="no more PUSH sockets"):
        links.open(LinkEnd.AUDIO_OUT, where)


def test_closing_with_unsent_messages_does_not_hang(folder: Path) -> None:
    links = Links(StageSettings())
    out = links.open(LinkEnd.COMMANDS_OUT, f"ipc://{folder}/nobody.sock")
    out.send(b"never read", zmq.NOBLOCK)
    links.close_all()


def test_a_push_socket_queues_nothing_for_a_peer_that_is_not_there(
    links: Links, folder: Path
) -> None:
    out = links.open(LinkEnd.AUDIO_OUT, f"ipc://{folder}/nobody.sock")
    with pytest.raises(zmq.Again):
        out.send(b"x", zmq.NOBLOCK)


def test_a_publisher_learns_that_its_subscriber_is_gone(folder: Path) -> None:
    theirs, ours = Links(StageSettings()), Links(StageSettings())
    endpoint = f"ipc://{folder}/v.sock"
    try:
        subscriber = theirs.open(LinkEnd.VERDICTS_IN, endpoint)
        subscriber.subscribe(b"gw")
        publisher = ours.open(LinkEnd.VERDICTS_OUT, endpoint)
        while not publisher.poll(20):
            subscriber.poll(20)  # a SUB socket answers while it is being used
        assert publisher.recv() == b"\x01gw"
        theirs.close_all()
        assert publisher.poll(WAIT_MS)
        assert publisher.recv() == b"\x00gw"
    finally:
        ours.close_all()


def test_files_of_dead_processes_are_swept_and_no_others(folder: Path) -> None:
    host = socket_module.gethostname()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = folder / f"audio-{host}-{ended.pid}-abc.sock"
    kept = [
        folder / f"audio-{host}-{os.getpid()}-abc.sock",
        folder / f"audio-elsewhere-{ended.pid}-abc.sock",
        folder / "frames.sock",
        folder / f"audio-{host}-{ended.pid}-abc.txt",
    ]
    for path in (dead, *kept):
        path.touch()
    sweep_dead_sockets(folder)
    assert sorted(folder.iterdir()) == sorted(kept)


# -- tcp ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [LinkEnd.FRAMES_OUT, LinkEnd.FRAMES_IN])
def test_tcp_needs_keys_or_an_explicit_waiver(end: LinkEnd, links: Links) -> None:
    with pytest.raises(SettingsError, match="--curve-dir"):
        links.open(end, f"tcp://127.0.0.1:{free_port()}")


def test_only_processes_of_this_user_come_in_over_ipc(links: Links, folder: Path) -> None:
    """SO_PEERCRED: even to a socket that anybody may write to. Needs root, to be somebody else."""
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    path = folder / "results.sock"
    inbox = links.open(LinkEnd.RESULTS_IN, f"ipc://{path}")
    folder.chmod(0o755)
    path.chmod(0o777)
    program = (
        "import os, sys, zmq\n"
        "os.setuid(int(sys.argv[1]))\n"
        "context = zmq.Context()\n"
        "socket = context.socket(zmq.PUSH)\n"
        "socket.linger = 10_000 if sys.argv[1] == '0' else 200\n"
        "socket.connect(sys.argv[2])\n"
        "socket.send(sys.argv[1].encode())\n"
        "socket.close()\n"
        "context.term()\n"  # which waits until it is sent
    )
    for user in ("65534", "0"):
        argv = [sys.executable, "-c", program, user, f"ipc://{path}"]
        subprocess.run(argv, check=True, timeout=30)
    assert inbox.poll(WAIT_MS)
    assert inbox.recv() == b"0"


# -- on an event loop -----------------------------------------------------------------------------


async def test_an_inbox_hands_over_what_has_arrived_in_batches(links: Links, folder: Path) -> None:
    inbox_socket = links.open(LinkEnd.AUDIO_IN, f"ipc://{folder}/a.sock")
    out = links.open(LinkEnd.AUDIO_OUT, f"ipc://{folder}/a.sock")
    received: list[Parts] = []
    sizes: list[int] = []
    done = asyncio.Event()

    def handle(messages: list[Parts]) -> None:
        sizes.append(len(messages))
        received.extend(messages)
        if len(received) == 50:
            done.set()

    inbox = Inbox(inbox_socket, handle, batch=8)
    assert out.poll(WAIT_MS, zmq.POLLOUT)
    for number in range(50):
        out.send_multipart([b"%d" % number, b"x"])
        await asyncio.sleep(0)
    await asyncio.wait_for(done.wait(), 5)
    assert [parts[0] for parts in received] == [b"%d" % number for number in range(50)]
    assert max(sizes) <= 8
    inbox.close()
    inbox.close()


async def test_a_closed_inbox_hands_over_nothing(links: Links, folder: Path) -> None:
    inbox_socket = links.open(LinkEnd.AUDIO_IN, f"ipc://{folder}/a.sock")
    out = links.open(LinkEnd.AUDIO_OUT, f"ipc://{folder}/a.sock")
    received: list[Parts] = []
    inbox = Inbox(inbox_socket, received.extend)
    inbox.close()
    inbox.poke()
    assert out.poll(WAIT_MS, zmq.POLLOUT)
    out.send(b"x")
    assert inbox_socket.poll(WAIT_MS)
    await asyncio.sleep(0)
    assert not received


def is_blocked(outlet: Outlet) -> bool:
    return outlet.blocked


async def test_an_outlet_says_no_when_full_and_tells_when_there_is_room(
    links: Links, folder: Path
) -> None:
    room = asyncio.Event()
    out_socket = links.open(LinkEnd.AUDIO_OUT, f"ipc://{folder}/a.sock")
    outlet = Outlet(out_socket, room.set)
    assert not outlet.has_room()
    assert is_blocked(outlet)
    assert not outlet.send([b"nobody", b"is there"])
    assert not outlet.send([b"still", b"nobody"])
    inbox_socket = links.open(LinkEnd.AUDIO_IN, f"ipc://{folder}/a.sock")
    await asyncio.wait_for(room.wait(), 5)
    assert not is_blocked(outlet)
    sent = 0
    while outlet.has_room():
        assert outlet.send([b"%d" % sent, bytes(8192)])
        sent += 1
    assert is_blocked(outlet)
    assert sent >= LinkEnd.AUDIO_OUT.high_water
    room.clear()
    for number in range(sent):
        assert inbox_socket.poll(WAIT_MS)
        assert inbox_socket.recv_multipart()[0] == b"%d" % number
    await asyncio.wait_for(room.wait(), 5)
    assert outlet.send([b"again"])
    outlet.close()
