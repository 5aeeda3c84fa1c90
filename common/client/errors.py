"""How a client's stream can end other than well; each message says what to do about it."""

from __future__ import annotations

from ..errors import SttError


class StreamError(SttError):
    """Base of what :mod:`common.client` raises when a stream cannot go on."""


class RejectedError(StreamError):
    """The server disconnected this client for corrupt frames (``data_corruption``).

    Attributes:
        message: the server's own words, with what was expected and what arrived.
        failures: corrupt frames that this client was told about.
    """

    def __init__(self, message: str, failures: int) -> None:
        frames = "frame" if failures == 1 else "frames"
        super().__init__(
            f"{message} (after {failures} corrupt {frames}; check the line between client and "
            f"server, or have the server tolerate more with --corruption-threshold)"
        )
        self.message = message
        self.failures = failures


class ServerBusyError(StreamError):
    """The server takes no more sessions at the moment (close code 1013)."""

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(f"server is busy: {reason}; try again in {retry_after_s:g} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class AccessError(StreamError):
    """The server does not let this client in: for its API key, or what it is asked for as."""

    def __init__(self, where: str, reason: str) -> None:
        hint = " (stt-stream: --api-key-file, or STT_API_KEY)" if "API key" in reason else ""
        super().__init__(f"{where} refuses: {reason or 'no reason given'}{hint}")
        self.reason = reason


class ConnectionLostError(StreamError):
    """The server cannot be reached, or could not be reached again in time."""


class HungUpError(ConnectionLostError):
    """Who took the connection hung up before saying anything, as a server does that ends then."""


class ResultsOverflowError(StreamError):
    """Results came faster than this client read them, past the bound on unread ones."""


class DisconnectedError(StreamError):
    """The server closed the connection for a reason that trying again would not cure."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"server closed the connection: {reason or 'no reason given'} ({code})")
        self.code = code
        self.reason = reason


class UnexpectedServerError(StreamError):
    """The server does not speak the integrity protocol as this client knows it."""
