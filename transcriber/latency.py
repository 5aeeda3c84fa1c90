"""How long a speaker waits: from the end of speech to the text, from its start to a first partial.

The end of speech is where the recorder first heard the silence that ended the recording, so that
the time includes the pause it waits for. Times are those of the clock on the wall: they say
something of clients that speak at real-time pace.
"""

from __future__ import annotations

from collections import deque

from transcriber.recorder.outputs import NoticeType


class SpeechLatency:
    """Follows one session's notices and texts."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._silent_s: float | None = None
        self._ended_s: deque[float] = deque()

    def notice(self, kind: NoticeType, now_s: float) -> None:
        """The recorder reported a change of its state."""
        match kind:
            case NoticeType.RECORDING_START:
                self._began_s, self._silent_s = now_s, None
            case NoticeType.TURN_DETECTION_START:
                self._silent_s = now_s
            case NoticeType.RECORDING_STOP:
                self._ended_s.append(now_s if self._silent_s is None else self._silent_s)
                self._began_s = self._silent_s = None

    def partial(self, now_s: float) -> float | None:
        """A partial came; seconds since the recording began if it is its first, else None."""
        began_s, self._began_s = self._began_s, None
        return None if began_s is None else now_s - began_s

    def text(self, now_s: float) -> float | None:
        """A recording's text came; seconds since its speech ended, None if that was not seen."""
        return now_s - self._ended_s.popleft() if self._ended_s else None
