"""Every message that crosses a process boundary, declared in one place.

On the wire each is one msgpack array ``[version, kind, field, field, ...]`` in a ZeroMQ part of
its own; raw audio rides beside it in the next part and is never copied into msgpack. Fields are
only ever appended, with defaults, so that an older receiver ignores what it does not know and a
newer one fills in what it misses. Anything else raises :class:`EnvelopeError`; receivers drop
such a message, count it and log it once.

Session ids are their 16 raw bytes. Sample positions are in 16 kHz samples from the start of the
session. Sequence numbers (``seq``) count a session's frames from 0 and are given by the gateway.
"""

from __future__ import annotations

import enum
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from common.errors import EnvelopeError

VERSION: Final = 1
SESSION_ID_BYTES: Final = 16

Parameter = None | bool | int | float | str | list[Any]
"""Values of a recorder's parameters, as JSON and msgpack both carry them."""


class Code(enum.IntEnum):
    """A verifier's verdict on one frame."""

    OK = 0
    """Verification was asked for; length and checksum agree."""
    UNVERIFIED = 1
    """Verification is off, or the client sent no checksum."""
    CORRUPT = 2
    """Length or checksum differs, or the message cannot be read as a frame."""


class OnCorruption(enum.StrEnum):
    """What a recorder hears in place of a corrupt frame."""

    FORWARD = "forward"
    """The frame as received (nothing, where its metadata cannot be read)."""
    SILENCE = "silence"
    """As many zeros as the frame was long, so that the time line stays whole."""
    DROP = "drop"
    """Nothing: the audio after it moves up."""


class Policy(enum.IntFlag):
    """Bits of :class:`Frame` that tell a verifier what to do."""

    VERIFY = 1
    FORWARD_CORRUPT = 2
    SILENCE_CORRUPT = 4


# -- frames link: gateway PUSH -> verifier PULL ------------------------------------------------


class Frame(NamedTuple):
    """Gateway to one verifier of the pool, once per frame and again on each retransmission.

    The client's message follows as the next part, byte for byte. The receiver owes a verdict to
    ``gateway`` and, to ``audio_endpoint``, the audio or a hole; it keeps no state between frames.
    """

    gateway: str
    session: bytes
    seq: int
    received_ns: int
    audio_endpoint: str
    policy: int


# -- audio link: verifier PUSH -> transcriber PULL ---------------------------------------------


class Audio(NamedTuple):
    """Verifier to transcriber, once per frame; may repeat and overtake: dedupe and order by seq.

    The frame's int16 LE PCM follows as the next part. With ``hole_samples`` that part is empty
    and stands for as many zero samples at ``sample_rate_hz``; both are 0 for a corrupt frame
    whose metadata could not be read.
    """

    session: bytes
    seq: int
    sample_rate_hz: int
    corrupt: bool
    hole_samples: int
    received_ns: int = 0


# -- verdicts link: verifier PUB -> gateway SUB, topic = gateway id ----------------------------


class Verdict(NamedTuple):
    """One frame's verdict; may repeat when a frame was sent twice: dedupe by seq."""

    session: bytes
    seq: int
    code: int
    expected_length: int | None
    actual_length: int
    expected_checksum: int | str | None
    actual_checksum: int | str | None
    sample_rate_hz: int = 0
    audio_sequence: int | None = None
    malformed: str = ""
    """A value of :class:`common.errors.MalformedReason`, or ""."""
    diagnosis: str = ""
    asks_verification: bool = False
    """The client sent a checksum (which is not looked at while verification is off)."""


class VerdictBatch(NamedTuple):
    """Verifier to gateway: the verdicts of one turn of its loop, oldest first."""

    verifier: str
    verdicts: list[Verdict]


class VerifierHello(NamedTuple):
    """Verifier to gateway, every heartbeat interval: it lives and has the links open."""

    verifier: str
    pid: int
    frames: int
    corrupt: int
    draining: bool = False


# -- results link: transcriber PUSH -> gateway PULL --------------------------------------------


class TranscriberHello(NamedTuple):
    """Transcriber to gateway, every heartbeat interval, from when its model is warm.

    The receiver connects to ``commands_endpoint`` on first sight and may open sessions. An
    instance that misses its heartbeats is dead to the gateway, and its sessions move.
    """

    instance: str
    pid: int
    audio_endpoint: str
    commands_endpoint: str
    engine: str
    sessions: int
    max_sessions: int
    draining: bool = False


class Commit(NamedTuple):
    """Audio that no replay will need: all frames below ``seq``, and part of frame ``seq``.

    ``skip_samples`` 16 kHz samples of frame ``seq`` are covered too; ``sample`` is the position
    in the session where a replay starts to feed a fresh recorder.
    """

    seq: int
    skip_samples: int
    sample: int


class Ack(NamedTuple):
    """Transcriber to gateway, batched: the state of one session's intake, cumulative.

    Frames below ``received`` were fed to the recorder, which frees the window. Frames from
    ``received`` up to ``held_below`` are held, save those listed in ``gaps`` (ascending).
    """

    session: bytes
    received: int
    held_below: int
    gaps: list[int]
    commit: Commit
    epoch: int = 0
    """Of the :class:`Open` that this is about, as in all that a recorder sends."""


class AckBatch(NamedTuple):
    """Transcriber to gateway: the sessions whose intake changed, and all of them now and then."""

    instance: str
    acks: list[Ack]


class RecorderEvent(NamedTuple):
    """Transcriber to gateway: a client event of the stock types, without a commit.

    ``text`` for ``realtime``; a PCM part (int16, 16 kHz) follows for ``transcription_start``.
    A replay repeats events: drop those at or before the last ``at_sample`` of the same type.
    """

    instance: str
    session: bytes
    type: str
    at_sample: int
    text: str = ""
    epoch: int = 0


class Sentence(NamedTuple):
    """Transcriber to gateway: a final result and the commit it makes.

    A replay repeats sentences: deliver one only if ``end_sample`` is past the last delivered.
    An empty ``text`` commits and is not shown to the client.
    """

    instance: str
    session: bytes
    text: str
    start_sample: int
    end_sample: int
    commit: Commit
    error: str = ""
    """Why the utterance could not be transcribed, after retries; then ``text`` is empty."""
    epoch: int = 0


class Drained(NamedTuple):
    """Transcriber to gateway, after :class:`Finish`: everything is transcribed and was sent."""

    instance: str
    session: bytes
    epoch: int = 0


# -- commands link: gateway DEALER -> transcriber ROUTER, replies on the same sockets ----------


class Open(NamedTuple):
    """Gateway to transcriber: make a recorder for a session; answered by :class:`Opened`.

    ``start`` is where the stream starts; on a replay, past the beginning. After more than
    ``tolerated`` corrupt frames, counted in seq order from ``failures``, nothing more is fed (-1:
    no limit). ``epoch`` grows with each placement of any session: repeating an epoch for a
    session that is open is harmless (answered again); a greater one replaces its recorder, for
    the gateway had given the old one up and heard nothing of it since; a lesser one is stale.
    """

    gateway: str
    session: bytes
    start: Commit
    window_frames: int
    parameters: dict[str, Parameter]
    tolerated: int = -1
    failures: int = 0
    epoch: int = 0


class Opened(NamedTuple):
    """Transcriber to gateway: the recorder is ready for frames, or cannot be had (``error``).

    With an error also in answer to a :class:`Ping` that lists a session which is not here.
    """

    instance: str
    session: bytes
    error: str = ""
    epoch: int = 0


class Close(NamedTuple):
    """Gateway to transcriber: drop the session and its recorder; unknown sessions are fine."""

    session: bytes


class Finish(NamedTuple):
    """Gateway to transcriber: no frame at or past ``end_seq`` will come; answer with Drained."""

    session: bytes
    end_seq: int


class SetParameter(NamedTuple):
    """Gateway to transcriber: set a recorder's parameter; answered by :class:`Reply`."""

    request: int
    session: bytes
    name: str
    value: Parameter


class GetParameter(NamedTuple):
    """Gateway to transcriber: read a recorder's parameter; answered by :class:`Reply`."""

    request: int
    session: bytes
    name: str


class CallMethod(NamedTuple):
    """Gateway to transcriber: call a recorder's method; answered by :class:`Reply`."""

    request: int
    session: bytes
    name: str
    args: list[Parameter]
    kwargs: dict[str, Parameter]


class Reply(NamedTuple):
    """Transcriber to gateway: the outcome of the command numbered ``request``."""

    request: int
    ok: bool
    value: Parameter
    message: str


class Ping(NamedTuple):
    """Gateway to transcriber, every heartbeat interval: it lives, and owns these sessions.

    A transcriber keeps a session whose gateway fell silent for a grace period, then drops it;
    one that its living gateway no longer lists is dropped at once. ``epoch`` is that of the
    gateway's latest :class:`Open`: what was opened after it, this message does not know of (a
    transcriber that was stopped for a while reads old ones).
    """

    gateway: str
    sessions: list[bytes]
    epoch: int = 0


Message = (
    Frame
    | Audio
    | VerdictBatch
    | VerifierHello
    | TranscriberHello
    | AckBatch
    | RecorderEvent
    | Sentence
    | Drained
    | Open
    | Opened
    | Close
    | Finish
    | SetParameter
    | GetParameter
    | CallMethod
    | Reply
    | Ping
)

KINDS: Final[dict[type[Any], int]] = {
    Frame: 1,
    Audio: 2,
    VerdictBatch: 3,
    VerifierHello: 4,
    TranscriberHello: 5,
    AckBatch: 6,
    RecorderEvent: 7,
    Sentence: 8,
    Drained: 9,
    Open: 20,
    Opened: 21,
    Close: 22,
    Finish: 23,
    SetParameter: 24,
    GetParameter: 25,
    CallMethod: 26,
    Reply: 27,
    Ping: 28,
}
_BY_KIND: Final[dict[int, type[Any]]] = {number: record for record, number in KINDS.items()}

M = TypeVar("M", bound=tuple[Any, ...])

# msgspec's msgpack packs a batch of 32 verdicts in a fifth of the time of the msgpack package.
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


def pack(message: Message) -> bytes:
    """Bytes of one envelope.

    Raises:
        EnvelopeError: a field holds what msgpack cannot carry.
    """
    try:
        return _encode((VERSION, KINDS[type(message)], *message))
    except (TypeError, ValueError, OverflowError) as error:
        raise EnvelopeError(f"cannot pack {type(message).__name__}: {error}") from error


class FrameHeaders:
    """Packs a session's :class:`Frame` envelopes, of which only two fields differ.

    Twice as fast as :func:`pack`, and this runs once per frame at the narrowest place.
    """

    def __init__(self, gateway: str, session: bytes, audio_endpoint: str, policy: int) -> None:
        self._head = (VERSION, KINDS[Frame], gateway, session)
        self._tail = (audio_endpoint, policy)

    def pack(self, seq: int, received_ns: int) -> bytes:
        """Bytes of the envelope of frame ``seq``."""
        return _encode((*self._head, seq, received_ns, *self._tail))


def unpack(raw: bytes | memoryview) -> Message:
    """Decode and validate one envelope.

    Raises:
        EnvelopeError: not msgpack, an unknown version or kind, or fields of the wrong shape.
    """
    try:
        fields = _decode(raw)
    except (ValueError, TypeError, msgspec.DecodeError, RecursionError) as error:
        raise EnvelopeError(f"not an envelope: {error}") from None
    if not isinstance(fields, list) or len(fields) < 2:
        raise EnvelopeError("not an envelope: expected an array of version, kind and fields")
    version, kind = fields[:2]
    if version != VERSION:
        raise EnvelopeError(f"envelope version {version!r}, expected {VERSION}")
    record = _BY_KIND.get(kind) if isinstance(kind, int) else None
    if record is None:
        raise EnvelopeError(f"unknown envelope kind {kind!r}")
    known = fields[2 : 2 + len(record._fields)]
    try:
        message: Message = msgspec.convert(known, record, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise EnvelopeError(f"malformed {record.__name__}: {error}") from None
    return message


def expect(raw: bytes | memoryview, *kinds: type[M]) -> M:
    """Decode an envelope that must be one of ``kinds``.

    Raises:
        EnvelopeError: as :func:`unpack`, or a kind that does not belong on this link.
    """
    message = unpack(raw)
    if not isinstance(message, kinds):
        raise EnvelopeError(f"{type(message).__name__} does not belong on this link")
    return message
