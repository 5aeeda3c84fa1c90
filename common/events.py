"""Events that the server sends to clients on the data port, as JSON text messages.

Stock RealtimeSTT clients print noise for types that they do not know, so they get only
:data:`STOCK_EVENT_TYPES` and ``error``. The others go to clients that asked for them with
``?events=integrity`` on the data URL.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec

from .receipts.statement import Envelope, Provenance

STOCK_EVENT_TYPES: Final = frozenset(
    {
        "realtime",
        "fullSentence",
        "recording_start",
        "recording_stop",
        "vad_detect_start",
        "vad_detect_stop",
        "vad_start",
        "vad_stop",
        "wakeword_detected",
        "wakeword_detection_start",
        "wakeword_detection_end",
        "transcription_start",
        "start_turn_detection",
        "stop_turn_detection",
    }
)


class Encoded(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """What keeps its text message once it has one: see :func:`to_json`."""


class Event(Encoded, frozen=True, omit_defaults=True, tag_field="type"):
    """Base of all events; ``type`` is the JSON tag."""

    @property
    def type(self) -> str:
        """The value of the ``type`` field on the wire."""
        return str(type(self).__struct_config__.tag)


class Notice(Encoded, frozen=True, omit_defaults=True):
    """One of the stock events that carry nothing but their type, such as ``recording_start``.

    ``at_ms``, to who asked for events: the audio that the recorder had heard by then.
    """

    type: str
    at_ms: int | None = None


class Realtime(Event, frozen=True, tag="realtime"):
    """A partial result; the next one replaces it. ``at_ms`` as in :class:`Notice`."""

    text: str
    at_ms: int | None = None


class WordTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """A word, and when it was said in ms of audio; ``probability`` from 0 to 1, -1: unknown."""

    word: str
    start_ms: int
    end_ms: int
    probability: float = -1.0


class FullSentence(Event, frozen=True, tag="fullSentence"):
    """A final result, and to who asked for events more about it.

    ``committed``, and what follows ``utterance``, as in :class:`Acknowledged`; begin and end of the
    utterance in ms of audio since the session began; ``utterance`` is the client's number of the
    mark that ended it, if one did (then ``text`` may be empty).
    ``provenance`` is to who asked for events, ``record`` to who asked for a receipt: the JSON text
    that proves the sentence (:class:`common.receipts.statement.SentenceRecord`).
    """

    text: str
    committed: int = 0
    start_ms: int | None = None
    end_ms: int | None = None
    utterance: int = 0
    skip_samples: int = 0
    run_samples: int = 0
    sample: int = 0
    provenance: Provenance | None = None
    record: str = ""
    words: tuple[WordTime, ...] = ()
    """Within the gateway: for the protocols that tell them."""


class TranscriptionStart(Event, frozen=True, tag="transcription_start"):
    """The final transcription of an utterance begins; carries its int16 PCM, 16 kHz, base64."""

    audio_bytes_base64: str

    @classmethod
    def of(cls, pcm: bytes | memoryview) -> TranscriptionStart:
        """The event for an utterance's int16 samples."""
        return cls(base64.b64encode(pcm).decode("ascii"))


class Error(Event, frozen=True, tag="error"):
    """Something that concerns this client alone.

    ``action`` is ``disconnect`` when the server closes the connection next, else ``continue``.
    """

    error: str
    message: str
    action: str


class SessionStarted(Event, frozen=True, tag="session"):
    """First event of a connection: its session id (a capability) and where to send from.

    ``next_sequence`` is the server's number of the frame that it wants next. ``resumed`` is
    false when the client asked to resume a session that this server does not know. A new session
    says again where in the first frame the client asked it to begin.
    """

    session: str
    next_sequence: int
    committed_sequence: int
    resumed: bool
    window_frames: int
    verify: bool
    skip_samples: int = 0
    run_samples: int = 0
    sample: int = 0
    resend: bool = False
    """Frames that arrive corrupt or not at all will be asked for again."""
    receipt: bool = False
    """A receipt was asked for, and this server signs them."""


class FrameVerdict(Event, frozen=True, tag="verdict", omit_defaults=False):
    """The integrity check's result for one frame.

    ``tolerated`` is the number of failures that do not reject the client; -1: any number.
    ``diagnosis`` is what is certain about the fault, ``likely`` what explains it best.
    """

    sequence: int
    verdict: str
    latency_ms: float
    expected_length: int | None = None
    actual_length: int | None = None
    expected_checksum: int | str | None = None
    actual_checksum: int | str | None = None
    diagnosis: str = ""
    failures: int = 0
    tolerated: int = 0
    likely: str = ""


class FramesLost(Event, frozen=True, tag="sequence"):
    """The client's own ``audioSequence`` jumped: frames were lost, repeated or reordered."""

    kind: str
    expected: int
    got: int


class Resend(Event, frozen=True, tag="resend", omit_defaults=False):
    """Send this frame again: it arrived corrupt or not at all. To who promised it (``resend=1``).

    ``attempt`` counts the requests for this frame from 1. The answer is the same message with
    ``"resend":ATTEMPT`` in its metadata (:func:`common.wire.mark_resent`); for a frame that was not
    sent yet, the text message ``{"type":"not_sent","sequence":N}``.
    """

    sequence: int
    attempt: int


class Healed(Event, frozen=True, tag="healed"):
    """A frame that was asked for ``attempts`` times arrived as it was sent, ``delay_ms`` late.

    Once a second it is said ``what`` had happened to it, with a hex ``view`` around the fault:
    lines of what arrived, and below those of what was sent where that differs.
    """

    sequence: int
    attempts: int
    delay_ms: float
    what: str = ""
    view: list[str] = []


class Acknowledged(Event, frozen=True, tag="ack"):
    """Frames below ``received`` are with a recorder; those below ``committed`` need no replay.

    Nor do ``skip_samples`` 16 kHz samples from there on. A client whose server is gone sends its
    frames from ``committed`` on to another, and puts the other three numbers, as they are, into
    the query of the URL: the new session then begins exactly there.
    """

    received: int
    committed: int
    skip_samples: int = 0
    run_samples: int = 0
    sample: int = 0


class RetentionLimited(Event, frozen=True, tag="retention"):
    """The server retains ``retained_bytes``: a crash now would lose the audio before them."""

    scope: str
    retained_bytes: int
    message: str


class HeldBack(Event, frozen=True, tag="held_back"):
    """Audio comes faster than the server takes it while others speak: ``speed`` times real time."""

    speed: float
    message: str


class TranscriberChanged(Event, frozen=True, tag="transcriber"):
    """The session waits for a transcriber, or moved to one and replayed ``replayed`` frames."""

    state: str
    replayed: int = 0


class Failure(msgspec.Struct, frozen=True):
    """One corrupt frame in a report."""

    sequence: int
    expected_length: int | None
    actual_length: int | None
    expected_checksum: int | str | None
    actual_checksum: int | str | None
    diagnosis: str
    likely: str = ""


class Report(Event, frozen=True, tag="report", omit_defaults=False):
    """What became of a session's frames; sent at its end."""

    frames: int
    audio_seconds: float
    ok: int
    unverified: int
    corrupt: int
    failures: list[Failure]
    lost: int
    repeated: int
    reordered: int
    retransmissions: int
    replays: int
    sentences: int
    verdict_latency_ms: dict[str, float]
    provenance: list[Provenance] = []
    """Of the latest sentences, oldest first."""
    asked: int = 0
    """Requests to send a frame again."""
    healed: int = 0
    """Frames that then arrived as they were sent: they are among ``ok``."""


class Records(Event, frozen=True, tag="records"):
    """Records of frames from number ``first`` on, for who asked for a receipt.

    ``frames`` is base64 of :class:`common.receipts.statement.FrameRecord`, one after the other.
    """

    first: int
    frames: str


class Receipt(Event, frozen=True, tag="receipt", omit_defaults=False):
    """The server's signed statement: at the end of a session (``final``), or when asked for."""

    final: bool
    receipt: Envelope


class End(Event, frozen=True, tag="end"):
    """All audio of a stream that the client ended has been transcribed; the server closes next."""


ServerEvent = (
    Realtime
    | FullSentence
    | TranscriptionStart
    | Error
    | SessionStarted
    | FrameVerdict
    | FramesLost
    | Resend
    | Healed
    | Acknowledged
    | RetentionLimited
    | HeldBack
    | TranscriberChanged
    | Report
    | Records
    | Receipt
    | End
)

_decode = msgspec.json.Decoder(ServerEvent).decode
_decode_notice = msgspec.json.Decoder(Notice).decode
encode = msgspec.json.Encoder().encode


def event_type(event: ServerEvent | Notice) -> str:
    """The value of the ``type`` field on the wire."""
    return event.type


def to_json(event: ServerEvent | Notice) -> str:
    """The text message for an event, encoded once, however many connections it is sent on."""
    kept = event.__dict__
    text: str | None = kept.get("json")
    if text is None:
        text = kept["json"] = encode(event).decode("utf-8")
    return text


def from_json(text: str | bytes) -> ServerEvent | Notice:
    """Decode a text message of the data port.

    An event type without a class of its own becomes a :class:`Notice`.

    Raises:
        msgspec.DecodeError: not JSON, or without a string ``type``.
    """
    notice = _decode_notice(text)
    if notice.type not in _TAGS:
        return notice
    event: ServerEvent = _decode(text)
    return event


_TAGS: Final[frozenset[str]] = frozenset(
    str(member.__struct_config__.tag) for member in Event.__subclasses__()
)

RECEIPT_PLEASE: Final = '{"type":"receipt"}'
"""Text message with which a client asks for a receipt of what was judged so far."""
END_OF_STREAM: Final = '{"type":"end"}'
"""Text message with which a client says that no more audio follows."""


def end_of_stream(frames: int) -> str:
    """The same, for who promised to resend: whether the last frames are missing must be known."""
    return f'{{"type":"end","frames":{frames}}}'


def not_sent(sequence: int) -> str:
    """Text message with which a client answers a request for a frame that it did not send yet."""
    return f'{{"type":"not_sent","sequence":{sequence}}}'


def is_end_of_stream(text: str) -> bool:
    """Whether a client's text message on the data port ends its stream."""
    return client_request(text).type == "end"


class ClientRequest(msgspec.Struct, frozen=True):
    """A client's text message on the data port.

    Attributes:
        type: ``end``, ``receipt`` or ``not_sent``.
        frames: of ``end``: the number after that of the last frame; -1: the client does not say.
        sequence: of ``not_sent``: which frame, by the server's number.
    """

    type: str
    frames: int = -1
    sequence: int = -1


_decode_request = msgspec.json.Decoder(ClientRequest).decode
NO_REQUEST: Final = ClientRequest("")


def client_request(text: str) -> ClientRequest:
    """Read a client's text message; of type "" if it is none."""
    try:
        return _decode_request(text)
    except (msgspec.DecodeError, RecursionError):
        return NO_REQUEST
