"""How much faster than real time a session's audio is taken, while others speak, too.

Recognising a minute of speech takes the same work however fast it came, so who sends recordings at
full speed would have the others wait behind them. Holds no clock.
"""

from __future__ import annotations

from typing import Final

AHEAD_S: Final = 30.0
"""Audio that may come at once: short recordings are never held back."""
LEAST_FRAME_S: Final = 0.005
"""What a frame counts at least, for frames of one sample are work, too."""


class Pace:
    """How far one session's audio is ahead of what it may be.

    Args:
        most_speed: times real time; 0: any.

    Attributes:
        held_back: the session's next frame has to wait.
    """

    __slots__ = ("_ahead_s", "_most_speed", "_since_s", "held_back")

    def __init__(self, most_speed: float) -> None:
        self._most_speed = most_speed
        self._ahead_s = 0.0
        self._since_s = 0.0
        self.held_back = False

    def decide(self, now_s: float, others_speak: bool) -> bool:
        """Decide whether the session is held back from now on; whether that has changed."""
        before, self.held_back = self.held_back, others_speak and self.is_ahead(now_s)
        return self.held_back != before

    def is_notable(self, now_s: float) -> bool:
        """Whether there is something to decide: it is held back, or might have to be."""
        return self.held_back or self.is_ahead(now_s)

    def took(self, audio_s: float, now_s: float) -> None:
        """A frame was taken."""
        ahead_s = self._ahead_s - (now_s - self._since_s) * self._most_speed
        self._since_s = now_s
        self._ahead_s = (ahead_s if ahead_s > 0 else 0.0) + (
            audio_s if audio_s > LEAST_FRAME_S else LEAST_FRAME_S
        )

    def is_ahead(self, now_s: float) -> bool:
        """Whether so much came that the next frame should wait."""
        if not self._most_speed:
            return False
        return self._ahead_s - (now_s - self._since_s) * self._most_speed > AHEAD_S
