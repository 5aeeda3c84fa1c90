"""What a client knows about its stream: where the session stands and what became of frames.

No I/O: fed the server's events, it keeps the counts, moves the resend buffer, and turns the
server's frame numbers into the client's.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from typing import Final

import msgspec

from ..events import (
    RECEIPT_PLEASE,
    Acknowledged,
    End,
    Error,
    Failure,
    FrameVerdict,
    FullSentence,
    Healed,
    Report,
    Resend,
    SessionStarted,
    not_sent,
)
from .buffer import ResendBuffer, Within
from .events import ClientEvent
from .receipts import ReceiptKeeper

MAX_REPLIES: Final = 1024
"""Text messages that wait to be sent; the oldest go, and are asked for again."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class VerdictCounts:
    """The server's verdicts so far, each frame counted once.

    A server sheds verdicts of good frames to a client that reads slowly, so the counts may fall
    short of the frames sent; the report does not.
    """

    ok: int = 0
    unverified: int = 0
    corrupt: int = 0
    healed: int = 0
    """Of those that are ok: they came corrupt or not at all, and as sent when asked for again."""

    @property
    def total(self) -> int:
        """Frames with a verdict."""
        return self.ok + self.unverified + self.corrupt

    def add(self, verdict: str) -> None:
        """Count one verdict; a name that this client does not know is not counted."""
        match verdict:
            case "ok":
                self.ok += 1
            case "unverified":
                self.unverified += 1
            case "corrupt":
                self.corrupt += 1


def within_of(event: SessionStarted | Acknowledged | FullSentence) -> Within:
    """Where in its frame a commit lies."""
    return Within(event.skip_samples, event.run_samples, event.sample)


class StreamState:
    """One stream's bookkeeping.

    Attributes:
        session: the server's id of the session to resume; None between sessions.
        sentences: final results received in this session.
        last_error: the last error event of this connection.
        failures: corrupt frames by the server's own count.
        ended: the server said that all audio of the session is transcribed.
    """

    def __init__(self, buffer: ResendBuffer, session: str | None) -> None:
        self.buffer = buffer
        self.session = session
        self.verifying: bool | None = None
        self.verdicts = VerdictCounts()
        self.report: Report | None = None
        self.sentences = 0
        self.last_error: Error | None = None
        self.failures = 0
        self.ended = False
        self.resent_frames = 0
        self.lost_frames = 0
        self.replies: deque[str] = deque(maxlen=MAX_REPLIES)
        self.receipts = ReceiptKeeper()
        self._judged = 0  # frames below have a verdict

    def begin(self, started: SessionStarted) -> None:
        """A connection's session event: the next frame sent is the one that the server wants.

        Raises:
            UnexpectedServerError: it wants a frame that this stream never had.
        """
        self.receipts.begin(resumed=started.resumed)
        if not started.resumed:
            self.sentences = 0
            if self.session is not None:
                log.warning("the server does not know the session any more: a new one begins")
        resumption = self.buffer.connected(
            started.next_sequence,
            started.committed_sequence,
            within_of(started),
            resumed=started.resumed,
        )
        if resumption.lost:
            log.warning("%d frames are lost: no longer held for resending", resumption.lost)
        self.session = started.session
        self.verifying = started.verify
        self.replies.clear()
        self.buffer.window = started.window_frames if started.resend else None
        self.resent_frames += resumption.resent
        self.lost_frames += resumption.lost

    def receive(self, event: ClientEvent) -> ClientEvent:
        """Take in an event; returns it with the client's frame numbers."""
        self.receipts.receive(event)
        if self.receipts.asks():
            self.replies.append(RECEIPT_PLEASE)
        match event:
            case FrameVerdict():
                event = msgspec.structs.replace(
                    event, sequence=self.buffer.number_of(event.sequence)
                )
                self.failures = event.failures
                if event.sequence >= self._judged:
                    self._judged = event.sequence + 1
                    self.verdicts.add(event.verdict)
            case Acknowledged(received=received, committed=committed):
                self.buffer.acknowledge(received, committed, within_of(event))
                event = msgspec.structs.replace(
                    event,
                    received=self.buffer.number_of(received),
                    committed=self.buffer.number_of(committed),
                )
            case Resend(sequence=sequence, attempt=attempt):
                if not self.buffer.ask_again(sequence, attempt):
                    self.replies.append(not_sent(sequence))
                event = Resend(self.buffer.number_of(sequence), attempt)
            case Healed():
                self.verdicts.healed += 1
                event = msgspec.structs.replace(
                    event, sequence=self.buffer.number_of(event.sequence)
                )
            case Report():
                event = self.report = msgspec.structs.replace(
                    event, failures=[self._renumbered(failure) for failure in event.failures]
                )
            case FullSentence(committed=committed):
                self.sentences += 1
                self.buffer.acknowledge(committed, committed, within_of(event))
            case Error():
                self.last_error = event
            case End():
                self.ended = True
                if self.report is not None:  # what the session took in needs no replay
                    self.buffer.acknowledge(self.report.frames, self.report.frames)
            case _:
                pass
        return event

    @property
    def all_taken_in(self) -> bool:
        """Whether the session that ended holds every frame of the stream.

        A server that stops ends its sessions, whether or not their clients are done.
        """
        return self.buffer.next_number == self.buffer.committed

    def leave_session(self) -> None:
        """What is left of the stream goes to a session of its own."""
        self.ended = False
        self.session = None

    def _renumbered(self, failure: Failure) -> Failure:
        return msgspec.structs.replace(failure, sequence=self.buffer.number_of(failure.sequence))
