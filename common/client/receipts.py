"""What a client keeps of its receipts: the signed statements, and the leaves to prove them by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ..events import FullSentence, Receipt, Records
from ..receipts.statement import Bundle, Envelope, from_base64, records_in
from .events import ClientEvent

ASK_INTERVAL_S: Final = 1.5
"""A server gives one a second at most."""


class _Given(NamedTuple):
    """A receipt, and how much of the leaves it is on: bytes of frames, and sentences."""

    envelope: Envelope
    frames: int
    sentences: int


class ReceiptKeeper:
    """Collects receipts and their leaves, one session after the other.

    A gateway that is killed gives none at its end. So one is asked for after each sentence (but not
    more often than the server gives them): the latest covers all that need not be sent again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._past: list[Bundle] = []
        self._latest: _Given | None = None
        self._frames = bytearray()
        self._frames_end = 0
        self._complete = True
        self._sentences: list[str] = []
        self._unproven = False
        self._ask_from_s = 0.0

    @property
    def complete(self) -> bool:
        """Whether all records of frames of this session came: some are lost with a connection."""
        return self._complete

    @property
    def bundles(self) -> list[Bundle]:
        """The latest receipt of each session that gave one, oldest first."""
        latest = self._latest
        if latest is None:
            return list(self._past)
        frames = bytes(self._frames[: latest.frames]) if self._complete else b""
        sentences = self._sentences[: latest.sentences]
        return [*self._past, Bundle.of(latest.envelope, frames, sentences)]

    def begin(self, *, resumed: bool) -> None:
        """A connection to a session begins."""
        if not resumed:
            self._past = self.bundles
            self._latest = None
            self._frames.clear()
            self._sentences.clear()
            self._frames_end = 0
            self._complete = True
            self._unproven = False

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
                self._unproven = True
            case Receipt(receipt=envelope, final=final):
                self._latest = _Given(envelope, len(self._frames), len(self._sentences))
                self._unproven &= not final
            case _:
                pass

    def asks(self) -> bool:
        """Whether to ask for a receipt now, as there are sentences that none covers."""
        if not self._unproven or (now_s := self._clock()) < self._ask_from_s:
            return False
        self._unproven = False
        self._ask_from_s = now_s + ASK_INTERVAL_S
        return True
