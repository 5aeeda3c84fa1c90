"""How a stream can end other than well, as a user of the client sees it."""

from __future__ import annotations

import pytest

from common.client.errors import (
    ConnectionLostError,
    DisconnectedError,
    RejectedError,
    ResultsOverflowError,
    ServerBusyError,
    StreamError,
    UnexpectedServerError,
)
from common.errors import SttError


@pytest.mark.parametrize(
    "error",
    [
        RejectedError("Length mismatch", 3),
        ServerBusyError("256 sessions", 5.0),
        ConnectionLostError("gone"),
        ResultsOverflowError("300 results wait unread"),
        DisconnectedError(1008, "no"),
        UnexpectedServerError("no session event"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_except_clause_catches_every_bad_end(error: StreamError) -> None:
    assert isinstance(error, StreamError)
    assert isinstance(error, SttError)
    assert not isinstance(error, OSError)  # a socket's errors are mapped, not passed on


def test_a_rejection_repeats_the_servers_words_and_says_what_to_try() -> None:
    error = RejectedError("Connection rejected: Checksum mismatch: expected 1, got 2", 3)
    text = str(error)
    assert text.startswith("Connection rejected: Checksum mismatch: expected 1, got 2")
    assert "after 3 corrupt frames;" in text
    assert "after 1 corrupt frame;" in str(RejectedError("no", 1))
    assert "--corruption-threshold" in text
    assert (error.message, error.failures) == (text.partition(" (after")[0], 3)


@pytest.mark.parametrize("retry_after_s, shown", [(5.0, "in 5 s"), (0.5, "in 0.5 s")])
def test_a_busy_server_says_why_and_when_to_come_back(retry_after_s: float, shown: str) -> None:
    error = ServerBusyError("256 sessions are open", retry_after_s)
    assert "256 sessions are open" in str(error)
    assert str(error).endswith(shown)
    assert error.retry_after_s == retry_after_s


@pytest.mark.parametrize("reason, shown", [("bad manners", "bad manners"), ("", "no reason given")])
def test_a_disconnection_shows_its_reason_and_close_code(reason: str, shown: str) -> None:
    error = DisconnectedError(1008, reason)
    assert shown in str(error)
    assert "(1008)" in str(error)
    assert (error.code, error.reason) == (1008, reason)
