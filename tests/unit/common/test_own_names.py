"""common.own_names: a name server that does not answer holds nobody up."""

from __future__ import annotations

import socket
import threading

import pytest

from common.own_names import names_of_this_machine, own_names


def test_the_full_name_stands_beside_the_short_one() -> None:
    host = socket.gethostname()
    assert own_names(lambda: f"{host}.example", 30.0) == (host, f"{host}.example")


def test_it_stands_once_where_it_is_the_same() -> None:
    assert own_names(socket.gethostname, 30.0) == (socket.gethostname(),)


def test_an_answer_that_does_not_come_is_gone_without(caplog: pytest.LogCaptureFixture) -> None:
    answer = threading.Event()

    def full_name() -> str:
        answer.wait(30.0)
        return "late.example"

    assert own_names(full_name, 0.01) == (socket.gethostname(),)
    answer.set()
    assert "no answer within 0.01 s" in caplog.text


def test_it_is_asked_for_once() -> None:
    assert names_of_this_machine() is names_of_this_machine()
