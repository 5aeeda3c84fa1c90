"""gateway.small_chunks: which chunks are counted, and that requests come through otherwise."""

from __future__ import annotations

import h11
import pytest

from common.limit_settings import LimitSettings
from gateway.small_chunks import BURST_S, SMALL_BYTES, ChunkCounter, SmallChunksError

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
AT_ONCE = int(10 * BURST_S)


def chunk(size: int) -> bytes:
    return b"%x\r\n" % size + bytes(size) + b"\r\n"


def taken(
    body: bytes, *, pieces: int = 1 << 20, head: bytes = b"Transfer-Encoding: chunked"
) -> int:
    """Bytes of a body that come through, sent in pieces of so many bytes."""
    connection = ChunkCounter(LimitSettings(small_chunks_per_s=10), 32_768)
    sent, size = HEAD + head + b"\r\n\r\n" + body, 0
    for start in range(0, len(sent), pieces):
        connection.receive_data(sent[start : start + pieces])
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                size += len(event.data)
            if isinstance(event, h11.EndOfMessage):
                return size
    raise AssertionError("the body has no end")


def test_so_many_small_chunks_come_through_and_no_more() -> None:
    assert taken(chunk(1) * AT_ONCE + chunk(0)) == AT_ONCE
    with pytest.raises(SmallChunksError) as caught:
        taken(chunk(1) * AT_ONCE * 2 + chunk(0))
    assert caught.value.args[0].bound == "small_chunks"


def test_any_number_of_others_comes_through_however_the_network_cuts_them() -> None:
    many = 4 * AT_ONCE
    for pieces in (1 << 20, 100):
        assert taken(chunk(SMALL_BYTES) * many + chunk(0), pieces=pieces) == SMALL_BYTES * many


def test_a_body_without_chunks_may_come_byte_by_byte() -> None:
    length = b"Content-Length: %d" % (2 * AT_ONCE)
    assert taken(bytes(2 * AT_ONCE), pieces=1, head=length) == 2 * AT_ONCE
