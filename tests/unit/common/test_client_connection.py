from __future__ import annotations

from typing import NamedTuple, cast

import pytest
from websockets.asyncio.client import ClientConnection

from common.client.connection import data_url, failure_of, without_query
from common.client.errors import (
    DisconnectedError,
    RejectedError,
    ResultsOverflowError,
    ServerBusyError,
)
from common.events import Error

REJECTION = Error("data_corruption", "Connection rejected: Checksum mismatch", "disconnect")


class Closed(NamedTuple):
    """What is looked at of a connection that is closed."""

    close_code: int | None
    close_reason: str | None = None


def failure(
    code: int | None, reason: str | None = None, last_error: Error | None = None
) -> Exception | None:
    connection = cast("ClientConnection", Closed(code, reason))
    return failure_of(connection, last_error, failures=3)


@pytest.mark.parametrize(
    "url, events, resume, expected",
    [
        ("ws://host:8012", False, False, "ws://host:8012/"),
        ("ws://host:8012", True, False, "ws://host:8012/?events=integrity"),
        (
            "wss://host/stt?tenant=a",
            True,
            True,
            "wss://host/stt?tenant=a&events=integrity&resume=1&sentences=2",
        ),
    ],
)
def test_the_query_asks_for_events_and_to_resume_and_names_no_session(
    url: str, events: bool, resume: bool, expected: str
) -> None:
    assert data_url(url, events=events, resume=resume, sentences=2) == expected


@pytest.mark.parametrize("code", [None, 1001, 1006, 1011, 1012])
def test_a_server_that_vanished_or_failed_is_worth_a_retry(code: int | None) -> None:
    assert failure(code) is None
    assert failure(code, last_error=Error("not_json", "one frame", "continue")) is None


@pytest.mark.parametrize("code", [1008, 1006])
def test_a_rejection_is_final_however_the_connection_ended(code: int) -> None:
    error = failure(code, "", REJECTION)
    assert isinstance(error, RejectedError)
    assert error.message == REJECTION.message
    assert error.failures == 3


def test_a_server_that_does_not_resume_a_rejected_session_says_so_in_the_close_reason() -> None:
    assert isinstance(failure(1008, "Connection rejected: too many"), RejectedError)


def test_a_busy_server_names_its_reason_and_when_to_try_again() -> None:
    error = failure(1013, "limit of 4 sessions")
    assert isinstance(error, ServerBusyError)
    assert error.reason == "limit of 4 sessions"
    assert error.retry_after_s > 0
    assert isinstance(failure(1013, "", Error("busy", "full", "disconnect")), ServerBusyError)


def test_a_client_that_does_not_read_is_told() -> None:
    assert isinstance(failure(1008, "client does not read its results"), ResultsOverflowError)


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1008, 1009])
def test_any_other_closing_is_final(code: int) -> None:
    error = failure(code, "because")
    assert isinstance(error, DisconnectedError)
    assert (error.code, error.reason) == (code, "because")


def test_session_ids_stay_out_of_messages() -> None:
    assert without_query("ws://host:1/?session=beef") == "ws://host:1"
