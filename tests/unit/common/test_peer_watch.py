"""That a peer's end is closed is told, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import zmq

from common.errors import SettingsError
from common.links import LinkEnd, Links
from common.peer_watch import PeerWatch
from common.settings import StageSettings


async def test_a_peer_that_closes_its_end_is_gone_and_one_that_is_watched_no_longer_is_not_told_of(
    tmp_path: Path,
) -> None:
    links, peers = Links(StageSettings()), Links(StageSettings())
    where = f"ipc://{tmp_path}/x.sock"
    try:
        theirs = peers.open(LinkEnd.COMMANDS_IN, where)
        gone, unheard = asyncio.Event(), asyncio.Event()
        watched, other = (links.open(LinkEnd.COMMANDS_OUT, where) for _ in range(2))
        watch = PeerWatch(watched, gone.set)
        PeerWatch(other, unheard.set).close()
        for each in (watched, other):
            each.send(b"here", zmq.NOBLOCK)
            assert await asyncio.to_thread(theirs.poll, 5_000)
            theirs.recv_multipart()
        peers.close(theirs)
        async with asyncio.timeout(10):
            await gone.wait()
        assert not unheard.is_set()
        watch.close()
    finally:
        links.close_all()
        peers.close_all()


async def test_where_no_socket_is_left_to_watch_with_that_is_an_error(tmp_path: Path) -> None:
    links = Links(StageSettings())
    links._context.set(zmq.MAX_SOCKETS, 1)
    try:
        only = links.open(LinkEnd.COMMANDS_OUT, f"ipc://{tmp_path}/x.sock")
        with pytest.raises(SettingsError, match="cannot be watched"):
            PeerWatch(only, lambda: None)
    finally:
        links.close_all()
