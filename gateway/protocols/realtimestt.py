"""RealtimeSTT's protocol on the data port: frames in binary messages, events as JSON text.

What a session's events are called on the wire is in ``common/events.py``: they are this protocol's
own, and the translators of others make theirs of them. Commands have a port of their own
(``realtimestt_control.py``); what a URL asks for is read in ``realtimestt_query.py``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.api_keys import ApiKey
from common.errors import CloseCode, MalformedReason
from common.events import (
    END_OF_STREAM,
    NO_REQUEST,
    RECEIPT_PLEASE,
    Error,
    client_request,
    to_json,
)
from gateway.demands import objection
from gateway.outbox import Queued
from gateway.protocols.base import Pass

MAX_TEXT: Final = 256
"""Characters of a text message that is looked at."""
NOT_A_FRAME: Final = Error(
    "not_a_frame",
    f"a frame is a binary message; the text messages here are {END_OF_STREAM} and {RECEIPT_PLEASE}",
    "continue",
)
FAR_TOO_LARGE: Final = "sent a message far over the size limit and was disconnected"

# -- what a message asks for: one thing each -------------------------------------------------------


class End(NamedTuple):
    """No more audio follows.

    Attributes:
        frames: the client's number of the frame that would be next; -1: it does not say.
    """

    frames: int


class GiveReceipt(NamedTuple):
    """The client wants a signed statement on what was judged so far."""


class NotSent(NamedTuple):
    """The frame that it was asked to send again was never sent."""

    sequence: int


class Refuse(NamedTuple):
    """The message is not taken.

    Attributes:
        kind: for the metrics.
        said: to the client; None: nothing. Its ``action`` says whether the connection ends.
        logged: what the log says of it; "": nothing.
    """

    kind: str
    said: Error | None = None
    logged: str = ""

    @property
    def ends(self) -> bool:
        """Whether the connection ends with it."""
        return self.said is not None and self.said.action == "disconnect"


Asked = Pass | End | GiveReceipt | NotSent | Refuse


class RealtimeSttData:
    """One data connection that sends audio.

    Args:
        max_message_bytes: of a frame.
        key: that the client came in with; it may demand checksums.
        heals: the client promised to send frames again.
    """

    def __init__(self, max_message_bytes: int, key: ApiKey | None, *, heals: bool) -> None:
        self._limit = max_message_bytes
        self._key = key
        self._heals = heals

    def receive(self, message: str | bytes, *, is_finishing: bool) -> Asked:
        """A whole message came from the client.

        Args:
            is_finishing: the end of the stream was told before, by the client or by the server.
        """
        if isinstance(message, str):
            return self._text(message)
        if is_finishing and not self._heals:
            return Refuse("after_end")
        if len(message) > self._limit:
            text = f"frame of {len(message)} bytes is over the limit of {self._limit}"
            return Refuse(
                MalformedReason.TOO_LARGE, Error(MalformedReason.TOO_LARGE, text, "continue"), text
            )
        if self._key is not None and (why := objection(self._key, message)):
            return Refuse("demands", Error("unverified", why, "disconnect"), why)
        return Pass(message)

    def is_plain_frame(self, message: bytes, *, is_finishing: bool) -> bool:
        """Whether :meth:`receive` would let a binary message pass; asked of nearly every one."""
        may_come = self._heals or not is_finishing
        return may_come and self._key is None and len(message) <= self._limit

    def _text(self, message: str) -> Asked:
        request = client_request(message) if len(message) <= MAX_TEXT else NO_REQUEST
        match request.type:
            case "end":
                return End(request.frames)
            case "receipt":
                return GiveReceipt()
            case "not_sent" if self._heals:
                return NotSent(request.sequence)
            case _:
                return Refuse("text", NOT_A_FRAME)


def written(event: Queued) -> str:
    """An event of the session as the message that tells of it."""
    return to_json(event)


def may_return(code: int | None, *, was_ended: bool) -> bool:
    """Whether a client whose connection closed with this code may take its session up again.

    Args:
        code: None: the connection was lost without one.
        was_ended: the server closed it.
    """
    return not was_ended and code not in (CloseCode.NORMAL, CloseCode.GOING_AWAY)
