"""What a recorder session reports. Positions are absolute, in 16 kHz samples of the session.

``at_sample`` is the audio consumed when the event arose, a function of the audio alone (not for
``PartialText``), so that a replay repeats an event at the same position. At the end of a stream
silence is appended, and positions may lie past its last sample.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from common.envelope import Word


class NoticeType(enum.StrEnum):
    """Events that carry nothing but their type, by their names on the data port."""

    RECORDING_START = "recording_start"
    RECORDING_STOP = "recording_stop"
    VAD_DETECT_START = "vad_detect_start"
    """The recorder listens for speech."""
    VAD_DETECT_STOP = "vad_detect_stop"
    VAD_START = "vad_start"
    """Speech began."""
    VAD_STOP = "vad_stop"
    """Speech ended long enough ago."""
    WAKEWORD_DETECTED = "wakeword_detected"
    WAKEWORD_DETECTION_START = "wakeword_detection_start"
    WAKEWORD_DETECTION_END = "wakeword_detection_end"
    TURN_DETECTION_START = "start_turn_detection"
    """Silence within a recording: it may be the end of the turn."""
    TURN_DETECTION_STOP = "stop_turn_detection"


class StateNotice(NamedTuple):
    """Something happened, in the order of ``at_sample``."""

    type: NoticeType
    at_sample: int


class PartialText(NamedTuple):
    """A partial result of the current recording; the next one replaces it. Never empty."""

    at_sample: int
    text: str


class FinalStart(NamedTuple):
    """The final transcription of a recording begins; ``pcm16`` is its int16 PCM, 16 kHz."""

    at_sample: int
    pcm16: bytes


class RecordingText(NamedTuple):
    """A recording is done with: all audio before ``end_sample`` is committed.

    One per recording, in order. ``text`` is empty when nothing was recognised, when the recording
    was aborted, or when transcription failed (then ``error`` says why). A fresh recorder that is
    fed from ``end_sample`` on continues exactly as this one. ``mark`` is the client's number of the
    mark that ended it, or 0; where a mark found no recording it is answered by a sentence of no
    length, at the end of the one before, which commits nothing.
    """

    text: str
    start_sample: int
    end_sample: int
    error: str = ""
    mark: int = 0
    words: tuple[Word, ...] = ()

    @property
    def at_sample(self) -> int:
        """Where the recording stopped."""
        return self.end_sample


class SilenceCommit(NamedTuple):
    """No replay needs the audio before ``sample``: no speech in it, or it is in a sentence.

    A fresh recorder that is fed from ``sample`` on continues exactly as this one.
    """

    sample: int


class BacklogCleared(NamedTuple):
    """``Recorder.ask_for_room`` said no, and there is room again: feed on."""

    at_sample: int


class AllReported(NamedTuple):
    """After ``Recorder.finish``: everything was consumed and reported."""

    at_sample: int


RecorderOutput = (
    StateNotice
    | PartialText
    | FinalStart
    | RecordingText
    | SilenceCommit
    | BacklogCleared
    | AllReported
)
