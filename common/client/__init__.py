"""The Python client: streams audio, hears results, survives lost connections."""

from ..events import (
    Acknowledged,
    End,
    Error,
    FramesLost,
    FrameVerdict,
    FullSentence,
    Healed,
    Realtime,
    Receipt,
    Report,
    Resend,
    RetentionLimited,
    SessionStarted,
    TranscriberChanged,
    TranscriptionStart,
)
from ..integrity import Algorithm
from .audio import AudioFileError
from .control import ControlClient
from .errors import (
    AccessError,
    ConnectionLostError,
    DisconnectedError,
    RejectedError,
    ResultsOverflowError,
    ServerBusyError,
    StreamError,
    UnexpectedServerError,
)
from .events import ClientEvent
from .frames import OnTheLine, flip_bit
from .state import VerdictCounts
from .stream import Stream, connect

__all__ = [
    "AccessError",
    "Acknowledged",
    "Algorithm",
    "AudioFileError",
    "ClientEvent",
    "ConnectionLostError",
    "ControlClient",
    "DisconnectedError",
    "End",
    "Error",
    "FrameVerdict",
    "FramesLost",
    "FullSentence",
    "Healed",
    "OnTheLine",
    "Realtime",
    "Receipt",
    "RejectedError",
    "Report",
    "Resend",
    "ResultsOverflowError",
    "RetentionLimited",
    "ServerBusyError",
    "SessionStarted",
    "Stream",
    "StreamError",
    "TranscriberChanged",
    "TranscriptionStart",
    "UnexpectedServerError",
    "VerdictCounts",
    "connect",
    "flip_bit",
]
