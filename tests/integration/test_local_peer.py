"""The processes at the far end of connections of this host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gateway.local_peer import NOBODY, Holder, LocalPeers, Ports

CLIENT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(connection.getsockname()[1], flush=True)
sys.stdin.read()
"""


async def test_all_of_a_rush_learn_their_process_from_a_look_or_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    net_connections = psutil.net_connections

    def counted(kind: str) -> object:
        nonlocal looks
        looks += 1
        return net_connections(kind)

    monkeypatch.setattr(psutil, "net_connections", counted)
    peers = LocalPeers()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, str(port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert client.stdout is not None
        assert client.stdin is not None
        client_port = int(await client.stdout.readline())
        stack.enter_context(server.accept()[0])
        theirs = Ports(client_port, port)
        own = Ports(port, theirs.client)
        rush = [peers.holder_of(theirs), peers.holder_of(own), peers.holder_of(Ports(1, port))]
        rush += [peers.holder_of(theirs) for _ in range(100)]
        found, of_this_process, nobody, *others = await asyncio.gather(*rush)
        client.stdin.close()
        await client.wait()
    assert found == Holder(client.pid, os.getuid())
    assert of_this_process == nobody == NOBODY
    assert others == [found] * 100
    assert looks <= 2


async def test_a_process_that_may_not_be_looked_at_is_known_by_its_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(psutil, "net_connections", lambda _: [])
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client:
            ports = Ports(client.getsockname()[1], address[1])
            assert await LocalPeers().holder_of(ports) == Holder(None, os.getuid())


async def test_where_nobody_can_tell_all_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> object:
        raise RuntimeError("a line of an unknown form")

    monkeypatch.setattr(psutil, "net_connections", refuse)
    peers = LocalPeers()
    for _ in range(2):
        async with asyncio.timeout(30):
            assert await peers.holder_of(Ports(1, 2)) == NOBODY


async def test_a_table_that_cannot_be_read_ends_no_later_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peers = LocalPeers()
    odd = tmp_path / "tcp"
    odd.write_text("sl local remote\nno such line\n")
    async with asyncio.timeout(30):
        with monkeypatch.context() as patched:
            patched.setattr("gateway.local_peer.TABLES", (odd,))
            assert await peers.holder_of(Ports(1, 2)) == NOBODY
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            with socket.create_connection(address) as client:
                monkeypatch.setattr(psutil, "net_connections", lambda _: [])
                ports = Ports(client.getsockname()[1], address[1])
                assert await peers.holder_of(ports) == Holder(None, os.getuid())
