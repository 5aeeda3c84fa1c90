"""What every translator is told of its session, and what it may ask for."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from common.wire import Parameter

# -- what a session hears; positions in ms of audio since its beginning ----------------------------


class SpeechStarted(NamedTuple):
    """The recorder heard speech and records."""

    at_ms: int


class SpeechStopped(NamedTuple):
    """The recording ended; an :class:`Utterance` follows."""

    at_ms: int


class Partial(NamedTuple):
    """What the recording sounds like so far; the next one replaces it."""

    text: str
    at_ms: int


class Word(NamedTuple):
    """A word of an utterance.

    Attributes:
        probability: from 0 to 1; below 0: unknown.
    """

    text: str
    start_ms: int
    end_ms: int
    probability: float = -1.0


class Utterance(NamedTuple):
    """A recording's final result, in order; ``text`` may be empty.

    Attributes:
        mark: the client's number of the mark that ended it; 0: silence did.
        error: why it could not be transcribed.
        words: none where the engine does not know when each was.
    """

    text: str
    start_ms: int
    end_ms: int
    mark: int = 0
    error: str = ""
    words: tuple[Word, ...] = ()


class Drained(NamedTuple):
    """All audio of a finished stream was transcribed."""


class Refused(NamedTuple):
    """The session ends because of something that concerns this client alone.

    Attributes:
        code: a short name, such as ``busy`` or ``data_corruption``.
    """

    code: str
    message: str


Heard = SpeechStarted | SpeechStopped | Partial | Utterance | Drained | Refused


# -- what a translator asks for, in order ------------------------------------------------------


class Say(NamedTuple):
    """Send a message to the client, as JSON text."""

    message: dict[str, Any]


class Pass(NamedTuple):
    """Take in a frame, in the wire format of ``common/wire.py``."""

    frame: bytes


class Set(NamedTuple):
    """Set a parameter of the session's recorder."""

    name: str
    value: Parameter


class Finish(NamedTuple):
    """No more audio follows: transcribe what there is, then :class:`Drained` is heard."""


class Close(NamedTuple):
    """Close the connection once everything said before was sent."""

    code: int
    reason: str


Action = Say | Pass | Set | Finish | Close


class ProtocolError(Exception):
    """What a client did wrong, in words for that client."""


class Translator(Protocol):
    """One connection's protocol, of the WebSocket kind."""

    def open(self, now_s: float) -> list[Action]:
        """The connection was accepted."""
        ...

    def receive(self, message: str | bytes, now_s: float) -> list[Action]:
        """A whole message came from the client."""
        ...

    def too_large(self, size: int, limit: int) -> list[Action]:
        """A message of ``size`` bytes came, over the limit; it was not read."""
        ...

    def hear(self, heard: Heard) -> list[Action]:
        """Something came of the session."""
        ...

    def tick(self, now_s: float) -> list[Action]:
        """Called about once a second."""
        ...
