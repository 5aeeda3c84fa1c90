from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from common.log_queue import QueuedHandler

LIMIT: Final = 10
WIDE: Final = "x" * 10_000


class Log:
    """A handler that writes into a pipe which only :meth:`read_all` reads."""

    def __init__(self) -> None:
        self._readable, writable = os.pipe()
        self._writable = os.fdopen(writable, "w")
        self.handler = QueuedHandler(self._writable, LIMIT)

    def say(self, text: str) -> None:
        self.handler.handle(logging.LogRecord("x", logging.INFO, "", 0, text, (), None))

    def read_until(self, text: str) -> str:
        seen = ""
        while text not in seen:
            seen += os.read(self._readable, 65_536).decode()
        return seen

    def close(self) -> None:
        os.close(self._readable)
        self._writable.close()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()


def test_lines_come_out_in_order(log: Log) -> None:
    for number in range(LIMIT):
        log.say(f"line {number}")
    assert log.read_until("line 9\n").splitlines() == [f"line {n}" for n in range(LIMIT)]


def test_who_logs_never_waits_for_the_reader_and_what_was_dropped_is_said(log: Log) -> None:
    for number in range(100):  # a megabyte: the pipe and the queue are full after a tenth of it
        log.say(f"{number} {WIDE}")
    assert 50 < log.handler.dropped < 100
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(log.read_until, "at last")
        log.handler.flush()
        log.say("at last")
        counts = re.findall(r"(\d+) log lines were dropped", read.result())
    assert sum(map(int, counts)) == log.handler.dropped


def test_an_end_waits_but_an_instant_for_the_reader(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.log_queue.FLUSH_S", 0.05)
    for _ in range(20):
        log.say(WIDE)
    log.handler.flush()
    log.read_until(WIDE)


def test_a_stream_without_descriptor_will_do() -> None:
    stream = io.StringIO()
    handler = QueuedHandler(stream, LIMIT)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "hello", (), None))
    handler.flush()
    assert stream.getvalue() == "hello\n"


def test_a_reader_that_is_gone_ends_nothing(log: Log) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "w") as stream:
        handler = QueuedHandler(stream, LIMIT)
        for _ in range(3):
            handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "hello", (), None))
            handler.flush()
        assert handler.dropped == 0


def test_a_forked_child_logs_too(log: Log) -> None:
    log.handler.flush()
    child = os.fork()
    if child == 0:
        log.say("from the child")
        log.handler.flush()
        os._exit(0)
    assert "from the child" in log.read_until("\n")
    assert os.waitpid(child, 0)[1] == 0
