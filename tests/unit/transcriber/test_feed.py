"""The queue of chunks and commands."""

from __future__ import annotations

import queue
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.recorder.feed import CHUNK_BYTES, CHUNK_SAMPLES, ChunkFeed


def drain(feed: ChunkFeed) -> list[bytes]:
    return [feed.get() for _ in range(feed.qsize())]


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_chunks_are_the_audio_whatever_its_pieces(sizes: list[int]) -> None:
    feed = ChunkFeed(lambda samples: None)
    audio = bytes(i % 251 for i in range(2 * sum(sizes)))
    offset = 0
    for size in sizes:
        feed.put_audio(memoryview(audio)[offset : offset + 2 * size])
        offset += 2 * size
    feed.flush()
    chunks = drain(feed)
    assert all(len(chunk) == CHUNK_BYTES for chunk in chunks)
    joined = b"".join(chunks)
    assert joined[: len(audio)] == audio
    assert len(joined) - len(audio) < CHUNK_BYTES
    assert not any(joined[len(audio) :])


def test_commands_run_in_order_with_the_audio_on_the_consumers_thread() -> None:
    log: list[str | int] = []
    feed = ChunkFeed(log.append)
    feed.put_audio(bytes(CHUNK_BYTES))
    feed.post(lambda: log.append(threading.current_thread().name))
    feed.put_audio(bytes(CHUNK_BYTES))
    consumer = threading.Thread(target=lambda: drain(feed), name="consumer")
    consumer.start()
    consumer.join()
    assert log == [CHUNK_SAMPLES, "consumer", CHUNK_SAMPLES]


def test_what_waits_is_told_in_seconds() -> None:
    feed = ChunkFeed(lambda samples: None)
    feed.put_audio(bytes(CHUNK_BYTES * 125))
    assert feed.waiting_s == 4.0
    drain(feed)
    assert feed.waiting_s == 0.0


def test_a_failing_command_harms_nothing() -> None:
    feed = ChunkFeed(lambda samples: None)
    feed.post(lambda: 1 / 0)  # type: ignore[arg-type]
    feed.put_audio(bytes(CHUNK_BYTES))
    assert feed.get() == bytes(CHUNK_BYTES)


def test_discarding_accounts_for_the_samples_and_keeps_the_commands() -> None:
    log: list[str | int] = []
    feed = ChunkFeed(lambda samples: None)
    feed.put_audio(bytes(3 * CHUNK_BYTES))
    feed.post(lambda: log.append("command"))
    feed.discard(log.append)
    assert feed.qsize() == 0
    feed.put_audio(b"\1" * CHUNK_BYTES)
    assert feed.get() == b"\1" * CHUNK_BYTES
    assert log == [3 * CHUNK_SAMPLES, "command"]


def test_the_tail_follows_all_audio_and_ends() -> None:
    feed = ChunkFeed(lambda samples: None)
    tail = iter([b"\2" * CHUNK_BYTES, None])
    feed.follow_with(lambda: next(tail))
    feed.put_audio(b"\1" * CHUNK_BYTES)
    assert [feed.get(), feed.get()] == [b"\1" * CHUNK_BYTES, b"\2" * CHUNK_BYTES]
    threading.Timer(0.05, feed.close).start()
    with pytest.raises(queue.Empty):
        feed.get(timeout=0.01)


def test_get_waits_for_audio_however_short_the_timeout() -> None:
    feed = ChunkFeed(lambda samples: None)
    threading.Timer(0.1, feed.put_audio, (bytes(CHUNK_BYTES),)).start()
    assert feed.get(timeout=0.001) == bytes(CHUNK_BYTES)


def test_closing_drops_what_waits() -> None:
    feed = ChunkFeed(lambda samples: None)
    feed.put_audio(bytes(CHUNK_BYTES))
    feed.close()
    assert feed.qsize() == 0
    with pytest.raises(queue.Empty):
        feed.get()
