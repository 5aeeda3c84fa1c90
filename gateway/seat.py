"""A session's place at one transcriber: a value that is replaced as a whole when anything changes.

A session that moves gets a new seat made out of the old one, so that nothing of its last placement
is left behind in the next. Holds no socket and no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final


class SeatState(enum.Enum):
    """Whether a session has a recorder."""

    WAITING = "waiting"
    """No live transcriber has room."""
    OPENING = "opening"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Seat:
    """One placement of a session.

    Attributes:
        instance: the transcriber; None while there is none.
        epoch: number of the placement; what comes from an earlier one does not count.
        audio_endpoint: where its recorder takes audio; "" until it is open.
        sentences: results of this recorder that have come, shown or not.
        to_replay: frames that the recorder is sent again, as earlier ones had them before.
        is_reopening: the session had a recorder before.
        refused_by: the transcriber that refused the session last; others are asked before it.
    """

    state: SeatState = SeatState.WAITING
    instance: str | None = None
    epoch: int = 0
    audio_endpoint: str = ""
    sentences: int = 0
    to_replay: int = 0
    is_reopening: bool = False
    refused_by: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a recorder that takes frames."""
        return self.state is SeatState.OPEN

    def is_at(self, instance: str, epoch: int) -> bool:
        """Whether that is the instance, and the placement, that serves the session now."""
        return self.epoch == epoch and self.instance == instance

    def left(self, replayed: int, refused_by: str | None = None) -> Seat:
        """The seat of a session that left this one: none, until it is assigned.

        Args:
            replayed: frames that its next recorder has to be sent again.
            refused_by: the transcriber, if it is that which refused the session.
        """
        return Seat(
            epoch=self.epoch,
            to_replay=self.to_replay + replayed,
            is_reopening=self.is_reopening or self.is_open,
            refused_by=refused_by or self.refused_by,
        )

    def assigned(self, instance: str, epoch: int) -> Seat:
        """A place at a transcriber, which is asked for a recorder."""
        return replace(self, state=SeatState.OPENING, instance=instance, epoch=epoch)

    def opened(self, audio_endpoint: str) -> Seat:
        """The transcriber has made the recorder."""
        return replace(
            self, state=SeatState.OPEN, audio_endpoint=audio_endpoint, to_replay=0, refused_by=None
        )

    def heard_sentence(self) -> Seat:
        """One more result has come."""
        return replace(self, sentences=self.sentences + 1)


NOWHERE: Final = Seat()
"""The seat of a session that begins."""
