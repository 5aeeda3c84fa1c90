"""What a client keeps of its receipts: the signed statements, and the leaves to prove them by."""

from __future__ import annotations

from ..events import FullSentence, Receipt, Records
from ..receipts.statement import Bundle, from_base64, records_in
from .events import ClientEvent


class ReceiptKeeper:
    """Collects receipts and their leaves, one session after the other.

    Attributes:
        bundles: the latest receipt of each session that gave one, oldest first.
    """

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []
        self._frames = bytearray()
        self._frames_end = 0
        self._complete = True
        self._sentences: list[str] = []
        self._given = False

    @property
    def complete(self) -> bool:
        """Whether all records of frames of this session came: some are lost with a connection."""
        return self._complete

    def begin(self, *, resumed: bool) -> None:
        """A connection to a session begins."""
        if not resumed:
            self._frames.clear()
            self._sentences.clear()
            self._frames_end = 0
            self._complete = True
            self._given = False

    def receive(self, event: ClientEvent) -> None:
        """Take in an event, as the server sent it."""
        match event:
            case Records(first=first, frames=frames):
                raw = from_base64(frames)
                self._complete &= first == self._frames_end
                self._frames += raw
                self._frames_end = first + records_in(raw)
            case FullSentence(record=record) if record:
                self._sentences.append(record)
            case Receipt(receipt=envelope):
                known = bytes(self._frames) if self._complete else b""
                bundle = Bundle.of(envelope, known, list(self._sentences))
                if self._given:
                    self.bundles[-1] = bundle
                else:
                    self.bundles.append(bundle)
                self._given = True
            case _:
                pass
