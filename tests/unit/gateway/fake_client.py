"""A client without a connection, for tests of what sessions, ports and the hub tell clients."""

from __future__ import annotations

from common.errors import CloseCode
from common.events import Notice, ServerEvent


class FakeClient:
    """Keeps what it hears.

    Attributes:
        ended: the code and reason with which it was told to end.
        looked: how often it was told to look again.
    """

    def __init__(self, address: str = "192.0.2.1", port: int = 50_000) -> None:
        self.address = address
        self.peer = f"{address}:{port}"
        self.events: list[ServerEvent | Notice] = []
        self.ended: tuple[CloseCode, str] | None = None
        self.looked = 0

    def deliver(self, event: ServerEvent | Notice) -> None:
        """Keep an event."""
        self.events.append(event)

    def end(self, code: CloseCode, reason: str) -> None:
        """Keep why."""
        self.ended = self.ended or (code, reason)

    def progress(self) -> None:
        """Count it."""
        self.looked += 1
