"""Typed errors and the WebSocket close codes that they map to.

Close codes are those of RFC 6455 section 7.4.1 and the IANA registry.
"""

from __future__ import annotations

import enum


class CloseCode(enum.IntEnum):
    """Why the server closed a client's connection."""

    NORMAL = 1000
    GOING_AWAY = 1001
    """The server is stopping."""
    POLICY_VIOLATION = 1008
    """Rejected for corruption, does not read its results, was resumed on another connection, or
    asked to observe a session that is not there."""
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    """The server is stopping; a client that can resume goes on at the next one."""
    TRY_AGAIN_LATER = 1013
    """The server is at its limit of sessions or connections, or is stopping."""


class MalformedReason(enum.StrEnum):
    """What makes a client's binary message unreadable as a frame."""

    TOO_SHORT = "too_short"
    HEADER_OVERRUN = "header_overrun"
    HEADER_TOO_LARGE = "header_too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    WRONG_TYPE = "wrong_type"
    MISSING_SAMPLE_RATE = "missing_sample_rate"
    ABSURD_SAMPLE_RATE = "absurd_sample_rate"
    UNKNOWN_ALGORITHM = "unknown_algorithm"
    ODD_PCM = "odd_pcm"
    TOO_LARGE = "too_large"


class SttError(Exception):
    """Base of the project's own errors."""


class MalformedFrameError(SttError):
    """A client's message cannot be read as a frame."""

    def __init__(self, reason: MalformedReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class EnvelopeError(SttError):
    """A message between stages has an unknown version, kind or shape: drop it and count it."""


class SettingsError(SttError):
    """An option's value cannot be used; the message says which one and what is allowed."""


class BusyError(SttError):
    """There is no room for a client now; the message goes back to it."""


class CommandError(SttError):
    """A control command cannot be carried out; the message goes back to the client."""
