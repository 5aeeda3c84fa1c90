"""How long to wait for an engine before it counts as hung: by how fast it has been. Pure."""

from __future__ import annotations

from typing import Final

LEAST_S: Final = 3.0
"""Of waiting, however short the recording: a machine may be busy with something else."""
FACTOR: Final = 5.0
"""Times the expected duration."""
FIRST_FACTOR: Final = 1.0
"""Real-time factor that is expected of an engine that has not run yet."""
FORGETTING: Final = 0.9
"""Share of a high real-time factor that is kept after each faster call."""


class Patience:
    """The measured real-time factor of one engine (seconds of work per second of audio)."""

    def __init__(self) -> None:
        self._factor = FIRST_FACTOR

    @property
    def factor(self) -> float:
        """What a call is expected to take, per second of audio; rather too much than too little."""
        return self._factor

    def expected_s(self, audio_s: float) -> float:
        """Duration that a call is expected to have."""
        return audio_s * self._factor

    def deadline_s(self, audio_s: float, attempt: int = 0) -> float:
        """Seconds after which a call counts as hung; twice as long for each further attempt.

        So a machine that is slower than ever before is noticed as such, and not for ever killed.
        """
        return float((LEAST_S + FACTOR * self.expected_s(audio_s)) * 2**attempt)

    def ran(self, audio_s: float, duration_s: float) -> None:
        """A call returned. Very short audio says nothing about a factor."""
        if audio_s < 0.5:
            return
        factor = duration_s / audio_s
        self._factor = max(factor, FORGETTING * self._factor + (1 - FORGETTING) * factor)
