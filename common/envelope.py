"""Every message that crosses a process boundary, declared in one place.

On the wire each is one msgpack array ``[tag, field, field, ...]`` in a ZeroMQ part of its own, the
tag being the version times 256 and the kind; raw audio rides beside it, each frame's in a part of
its own, and is never copied into msgpack. Batches of frames bear a stamp for each frame; all other
messages end with a seal (:mod:`common.stamps`). Fields are only ever appended, with defaults, so
that an older receiver ignores what it does not know and a newer one fills in what it misses.
Anything else raises :class:`EnvelopeError`; receivers drop such a message, count it and log it
within a budget.

Session ids are their 16 raw bytes. Sample positions are in 16 kHz samples from the start of the
session. Sequence numbers (``seq``) count a session's frames from 0 and are given by the gateway.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Annotated, Final, TypeVar, get_args

import msgspec
from msgspec import Meta

from common.errors import EnvelopeError
from common.wire import MAX_SAMPLE_RATE_HZ, Mark
from common.wire import Parameter as Parameter  # what commands carry on both sides

VERSION: Final = 3
SESSION_ID_BYTES: Final = 16


MAX_HOLE_SAMPLES: Final = 8 << 20
"""As many as the longest message that a gateway may be told to take."""
MAX_WINDOW_FRAMES: Final = 4_096
RUN_FRAMES: Final = 8
"""Frames that travel in one message at most: few enough that the pool of verifiers stays even."""
RUN_BYTES: Final = 128 * 1024
"""A run ends with the frame by which it is as long: large frames travel alone."""

# What a field may hold. A receiver drops a message with any other value, so that no peer, whatever
# it sends, can make arithmetic fail, an index miss or memory grow.
SessionId = Annotated[bytes, Meta(min_length=SESSION_ID_BYTES, max_length=SESSION_ID_BYTES)]
Count = Annotated[int, Meta(ge=0)]  # msgpack has no more than 64 bits
Seq = Count
Sample = Count
Stamp = Count
RateOrNone = Annotated[int, Meta(ge=0, le=MAX_SAMPLE_RATE_HZ)]
HoleSamples = Annotated[int, Meta(ge=0, le=MAX_HOLE_SAMPLES)]
VerdictCode = Annotated[int, Meta(ge=0, le=2)]
PolicyBits = Annotated[int, Meta(ge=0, lt=1 << 16)]
WindowFrames = Annotated[int, Meta(ge=1, le=MAX_WINDOW_FRAMES)]
Gaps = Annotated[list[Seq], Meta(max_length=MAX_WINDOW_FRAMES)]
RequestKind = Annotated[int, Meta(ge=0, le=2)]
AudioSamples = Annotated[int, Meta(ge=0, le=1 << 26)]
FeatureBins = Annotated[int, Meta(ge=0, le=1_024)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Cores = Annotated[float, Meta(ge=0, le=1e6)]
Tolerated = Annotated[int, Meta(ge=-1)]
Digest = Annotated[bytes, Meta(max_length=64)]
Name = Annotated[str, Meta(max_length=256)]
Endpoint = Annotated[str, Meta(max_length=1_024)]
Text = Annotated[str, Meta(max_length=1 << 20)]

R = TypeVar("R")
Run = Annotated[list[R], Meta(min_length=1, max_length=RUN_FRAMES)]


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message, or a part of one, that msgpack carries as an array of its fields."""


class Envelope(Record, frozen=True, tag_field="kind"):
    """A message: its array begins with the tag of its kind."""


def tag_of(kind: int) -> int:
    """First element of the messages of a kind (0 to 255)."""
    return VERSION * 256 + kind


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
    DIGEST = 8
    """The session is to have a receipt: the verdict carries the samples' SHA-256."""
    REPORT_CORRUPT = 16
    """The client can send the frame again: of a corrupt one send a verdict and no audio. It has
    promised checksums, so that a frame without one is corrupt."""
    MISSING = 32
    """The frame never came, and the message is empty: nothing is heard in its place."""


# -- frames link: gateway PUSH -> verifier PULL ------------------------------------------------


class Frame(Record, frozen=True):
    """One frame of a batch: whose it is, and what is to become of it."""

    session: SessionId
    seq: Seq
    received_ns: Count
    audio_endpoint: Endpoint
    policy: PolicyBits
    stamp: Stamp = 0
    """Of :func:`common.stamps.frame_stamp`, taken on receipt; 0: none."""
    attempt: Count = 0
    """How often the client was asked to send this frame again, repeated in the verdict."""
    key: Name = ""
    """Name of the API key that the client came in with: whose ``hmac-sha256`` key is meant."""


class FrameBatch(Envelope, frozen=True, tag=tag_of(1)):
    """Gateway to one verifier of the pool: frames that waited together, of any sessions.

    Each frame is sent once, and again on each retransmission. The clients' messages follow in the
    same order, each as a part of its own, byte for byte. For each the receiver owes a verdict to
    ``gateway`` and, to its ``audio_endpoint``, the audio or a hole; it keeps no state between
    frames.
    """

    gateway: Name
    frames: Run[Frame]


# -- audio link: verifier PUSH -> transcriber PULL ---------------------------------------------


class Audio(Record, frozen=True):
    """One frame of a batch of audio: what its recorder hears.

    With ``hole_samples`` its part is empty and stands for as many zero samples at
    ``sample_rate_hz``; both are 0 for a corrupt frame whose metadata could not be read.
    """

    session: SessionId
    seq: Seq
    sample_rate_hz: RateOrNone
    corrupt: bool
    hole_samples: HoleSamples
    received_ns: Count = 0
    mark: Mark = Mark.NONE
    mark_number: Count = 0
    """The client's number of an ``END`` or ``DISCARD``, from 1."""
    stamp: Stamp = 0
    """Of :func:`common.stamps.audio_stamp`; 0: none."""


class AudioBatch(Envelope, frozen=True, tag=tag_of(2)):
    """Verifier to transcriber: frames that were checked in one turn, of any sessions.

    Frames may repeat and overtake: dedupe and order by seq. The int16 LE PCM of each follows in the
    same order, as a part of its own.
    """

    frames: Run[Audio]


def frame_count(batch: FrameBatch | AudioBatch) -> int:
    """How many parts, a frame's bytes each, follow a batch."""
    return len(batch.frames)


# -- verdicts link: verifier XPUB -> gateway SUB, topic = gateway id ----------------------------


class Verdict(Record, frozen=True):
    """One frame's verdict; may repeat when a frame was sent twice: dedupe by seq."""

    session: SessionId
    seq: Seq
    code: VerdictCode
    expected_length: int | None
    actual_length: Count
    expected_checksum: int | str | None
    actual_checksum: int | str | None
    sample_rate_hz: RateOrNone = 0
    audio_sequence: int | None = None
    malformed: Name = ""
    """A value of :class:`common.errors.MalformedReason`, or ""."""
    diagnosis: Text = ""
    """What is certain about the fault."""
    asks_verification: bool = False
    """The client sent a checksum or a length, which are not looked at while verification is off."""
    likely: Text = ""
    """What explains the fault best, though others would too."""
    attempt: Count = 0
    """That of the :class:`Frame`."""
    pcm_sha256: Digest = b""
    """Of the int16 samples, if the policy asked for it and the message could be read."""
    algorithm: str = ""
    """Of the checksum that was compared."""


class VerdictBatch(Envelope, frozen=True, tag=tag_of(3)):
    """Verifier to gateway: the verdicts of one turn of its loop, oldest first."""

    verifier: Name
    verdicts: list[Verdict]


class VerifierHello(Envelope, frozen=True, tag=tag_of(4)):
    """Verifier to gateway, every heartbeat interval: it lives and has the links open."""

    verifier: Name
    pid: Count
    frames: Count
    corrupt: Count
    draining: bool = False


# -- results link: transcriber PUSH -> gateway PULL --------------------------------------------


class TranscriberHello(Envelope, frozen=True, tag=tag_of(5)):
    """Transcriber to gateway, every heartbeat interval, from when its model is warm.

    The receiver connects to ``commands_endpoint`` on first sight and may open sessions. An
    instance that misses its heartbeats is dead to the gateway, and its sessions move.
    """

    instance: Name
    pid: Count
    audio_endpoint: Endpoint
    commands_endpoint: Endpoint
    engine: Name
    sessions: Count
    max_sessions: Count
    draining: bool = False
    results: Endpoint = ""
    """The link that this came over, as the transcriber names it; see :class:`Open`."""
    final_wait_s: Seconds = 0.0
    """For how long a final that comes now would wait for an engine."""
    cores: Cores = 0.0
    """That its process has used for a while on end; one is all that its recorders can."""
    lag_s: Seconds = 0.0
    """By how much its recorders are behind with live audio; 0 while that is as usual."""


class Commit(Record, frozen=True):
    """Audio that no replay will need: all frames below ``seq``, and part of frame ``seq``.

    ``skip_samples`` 16 kHz samples from frame ``seq`` on are covered too (more than its own, where
    a resampler has to hear it first); ``sample`` is the position in the session where a replay
    starts to feed a fresh recorder.
    """

    seq: Seq
    skip_samples: Count
    sample: Sample
    run_samples: Count = 0
    """Samples that came before frame ``seq`` at its rate without a break; 0 at 16 kHz."""


class Word(Record, frozen=True):
    """A word of a sentence: where it was said, and how likely it is (0 to 1; -1: unknown)."""

    text: Name
    start_sample: Sample
    end_sample: Sample
    probability: float = -1.0


class Ack(Record, frozen=True):
    """Transcriber to gateway, batched: the state of one session's intake, cumulative.

    Frames below ``fed`` were fed to the recorder, which frees the window. Frames from ``fed`` up to
    ``held_below`` are held, save those listed in ``gaps`` (ascending).
    """

    session: SessionId
    fed: Seq
    held_below: Seq
    gaps: Gaps
    commit: Commit
    epoch: Count = 0
    """Of the :class:`Open` that this is about, as in all that a recorder sends."""
    sentences: Count = 0
    """How many :class:`Sentence` were sent before it: if fewer came, one was lost on the way."""


class AckBatch(Envelope, frozen=True, tag=tag_of(6)):
    """Transcriber to gateway: the sessions whose intake changed, and all of them now and then."""

    instance: Name
    acks: list[Ack]


class RecorderEvent(Envelope, frozen=True, tag=tag_of(7)):
    """Transcriber to gateway: a client event of the stock types, without a commit.

    ``text`` for ``realtime``; a PCM part (int16, 16 kHz) follows for ``transcription_start``.
    A replay repeats events: drop those at or before the last ``at_sample`` of the same type.
    """

    instance: Name
    session: SessionId
    type: Name
    at_sample: Sample
    text: Text = ""
    epoch: Count = 0


class Sentence(Envelope, frozen=True, tag=tag_of(8)):
    """Transcriber to gateway: a final result and the commit it makes.

    A replay repeats sentences: deliver one only if ``end_sample`` is past the last delivered.
    An empty ``text`` commits and is not shown to the client.
    """

    instance: Name
    session: SessionId
    text: Text
    start_sample: Sample
    end_sample: Sample
    commit: Commit
    error: Text = ""
    """Why the utterance could not be transcribed, after retries; then ``text`` is empty."""
    epoch: Count = 0
    mark: Count = 0
    """Number of the :class:`Mark` that ended it; 0: silence did. Where nothing was being recorded
    at a mark, it is answered by a sentence without text or length, which commits nothing."""
    engine: str = ""
    model: str = ""
    """What transcribed it, as the transcriber's options name them."""
    words: tuple[Word, ...] = ()
    """Where the engine knows them; they may be written unlike in ``text``."""
    sentences: Count = 0
    """How many were sent before it: if fewer came, its commit would cover one that was lost."""


class Drained(Envelope, frozen=True, tag=tag_of(9)):
    """Transcriber to gateway, after :class:`Finish`: everything is transcribed and was sent."""

    instance: Name
    session: SessionId
    epoch: Count = 0
    sentences: Count = 0
    """As in :class:`Sentence`."""


# -- commands link: gateway DEALER -> transcriber ROUTER, replies on the same sockets ----------


class Open(Envelope, frozen=True, tag=tag_of(20)):
    """Gateway to transcriber: make a recorder for a session; answered by :class:`Opened`.

    ``start`` is where the stream starts; on a replay, past the beginning. After more than
    ``tolerated`` corrupt frames, counted in seq order from ``failures``, nothing more is fed (-1:
    no limit). ``epoch`` grows with each placement of any session: repeating an epoch for a
    session that is open is harmless (answered again); a greater one replaces its recorder, for
    the gateway had given the old one up and heard nothing of it since; a lesser one is stale.
    """

    gateway: Name
    session: SessionId
    start: Commit
    window_frames: WindowFrames
    parameters: dict[str, Parameter]
    tolerated: Tolerated = -1
    failures: Count = 0
    epoch: Count = 0
    results: Endpoint = ""
    """The link by which the gateway hears this transcriber: what it has to tell goes there."""


class Opened(Envelope, frozen=True, tag=tag_of(21)):
    """Transcriber to gateway: the recorder is ready for frames, or cannot be had (``error``).

    With an error also in answer to a :class:`Ping` that lists a session which is not here.
    """

    instance: Name
    session: SessionId
    error: Text = ""
    epoch: Count = 0


class Close(Envelope, frozen=True, tag=tag_of(22)):
    """Gateway to transcriber: drop the session and its recorder; unknown sessions are fine."""

    session: SessionId


class Finish(Envelope, frozen=True, tag=tag_of(23)):
    """Gateway to transcriber: no frame at or past ``end_seq`` will come; answer with Drained."""

    session: SessionId
    end_seq: Seq


class SetParameter(Envelope, frozen=True, tag=tag_of(24)):
    """Gateway to transcriber: set a recorder's parameter; answered by :class:`Reply`."""

    request: Count
    session: SessionId
    name: Name
    value: Parameter


class GetParameter(Envelope, frozen=True, tag=tag_of(25)):
    """Gateway to transcriber: read a recorder's parameter; answered by :class:`Reply`."""

    request: Count
    session: SessionId
    name: Name


class CallMethod(Envelope, frozen=True, tag=tag_of(26)):
    """Gateway to transcriber: call a recorder's method; answered by :class:`Reply`."""

    request: Count
    session: SessionId
    name: Name
    args: list[Parameter]
    kwargs: dict[str, Parameter]


class Reply(Envelope, frozen=True, tag=tag_of(27)):
    """Transcriber to gateway: the outcome of the command numbered ``request``."""

    request: Count
    ok: bool
    value: Parameter
    message: Text


class Ping(Envelope, frozen=True, tag=tag_of(28)):
    """Gateway to transcriber, every heartbeat interval: it lives, and owns these sessions.

    A transcriber keeps a session whose gateway fell silent for a grace period, then drops it;
    one that its living gateway no longer lists is dropped at once. ``epoch`` is that of the
    gateway's latest :class:`Open`: what was opened after it, this message does not know of (a
    transcriber that was stopped for a while reads old ones).
    """

    gateway: Name
    sessions: list[SessionId]
    epoch: Count = 0
    results: Endpoint = ""
    """As in :class:`Open`."""


# -- engine link: transcriber DEALER -> engine process ROUTER, answers on the same sockets --------


class Transcribe(Envelope, frozen=True, tag=tag_of(40)):
    """Transcriber to engine: make text of a recording, or of one so far; answered once.

    ``request`` is the transcriber's number, ``session`` a name for taking turns. The part after it
    holds ``samples`` int16 LE samples at 16 kHz and, with ``feature_bins``, the float32 features of
    them, so many rows. A request whose answer does not come is asked again, here or elsewhere.
    """

    request: Count
    session: Name
    request_kind: RequestKind
    """A value of :class:`transcriber.schedule.Kind`."""
    language: Name
    use_prompt: bool
    word_timestamps: bool
    samples: AudioSamples
    feature_bins: FeatureBins = 0


class Promote(Envelope, frozen=True, tag=tag_of(41)):
    """Transcriber to engine: an early request is its recording's final; unknown ones are fine."""

    request: Count


class Withdraw(Envelope, frozen=True, tag=tag_of(42)):
    """Transcriber to engine: nobody waits for this request any more; unknown ones are fine."""

    request: Count


class EnginePing(Envelope, frozen=True, tag=tag_of(43)):
    """Transcriber to engine, several times a second: it lives; answered by :class:`EngineHello`."""

    transcriber: Name


class Transcribed(Envelope, frozen=True, tag=tag_of(44)):
    """Engine to transcriber: the text of a request, or why there is none.

    A transcriber takes the first answer to a request, from whichever engine it has asked.
    """

    request: Count
    text: Text
    language: Name = ""
    language_probability: float = 0.0
    error: Text = ""
    metadata: Text = ""
    """What else the engine tells (word times), as a JSON object; or nothing."""


class EngineHello(Envelope, frozen=True, tag=tag_of(45)):
    """Engine to transcriber, in answer to each ping, from when its model is warm."""

    instance: Name
    pid: Count
    engine: Name
    concurrency: Count
    wait_s: Seconds
    """For how long a final that comes now would wait."""
    feature_bins: FeatureBins = 0
    """Mel bins of the features that it would rather be sent than compute; 0: none."""


FramesMessage = FrameBatch
AudioMessage = AudioBatch
VerdictsMessage = VerdictBatch | VerifierHello
ResultsMessage = TranscriberHello | AckBatch | RecorderEvent | Sentence | Drained
CommandsMessage = Open | Close | Finish | SetParameter | GetParameter | CallMethod | Ping
RepliesMessage = Opened | Reply
"""What travels against the direction of the commands link."""
EngineMessage = Transcribe | Promote | Withdraw | EnginePing
AnswersMessage = Transcribed | EngineHello
"""What travels against the direction of the engine link."""

Message = (
    FramesMessage
    | AudioMessage
    | VerdictsMessage
    | ResultsMessage
    | CommandsMessage
    | RepliesMessage
    | EngineMessage
    | AnswersMessage
)

_BY_TAG: Final = {kind.__struct_config__.tag: kind for kind in get_args(Message)}

M = TypeVar("M")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Message).decode


def pack(message: Message) -> bytes:
    """Bytes of one envelope.

    Raises:
        EnvelopeError: a field holds what msgpack cannot carry.
    """
    try:
        return _encode(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise EnvelopeError(f"cannot pack {type(message).__name__}: {error}") from error


def _unpacker(decode: Callable[[bytes | memoryview], M]) -> Callable[[bytes | memoryview], M]:
    def unpack_one(raw: bytes | memoryview) -> M:
        try:
            return decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise EnvelopeError(_fault(raw, error)) from None

    return unpack_one


# Each decodes and validates one envelope of its link, and raises EnvelopeError for what is not
# msgpack, of another version, kind or link, or has fields of the wrong shape.
unpack: Final[Callable[[bytes | memoryview], Message]] = _unpacker(_decode)
unpack_frames: Final[Callable[[bytes | memoryview], FramesMessage]] = _unpacker(
    msgspec.msgpack.Decoder(FramesMessage).decode
)
unpack_audio: Final[Callable[[bytes | memoryview], AudioMessage]] = _unpacker(
    msgspec.msgpack.Decoder(AudioMessage).decode
)
unpack_verdicts: Final[Callable[[bytes | memoryview], VerdictsMessage]] = _unpacker(
    msgspec.msgpack.Decoder(VerdictsMessage).decode
)
unpack_results: Final[Callable[[bytes | memoryview], ResultsMessage]] = _unpacker(
    msgspec.msgpack.Decoder(ResultsMessage).decode
)
unpack_commands: Final[Callable[[bytes | memoryview], CommandsMessage]] = _unpacker(
    msgspec.msgpack.Decoder(CommandsMessage).decode
)
unpack_replies: Final[Callable[[bytes | memoryview], RepliesMessage]] = _unpacker(
    msgspec.msgpack.Decoder(RepliesMessage).decode
)
unpack_engine: Final[Callable[[bytes | memoryview], EngineMessage]] = _unpacker(
    msgspec.msgpack.Decoder(EngineMessage).decode
)
unpack_answers: Final[Callable[[bytes | memoryview], AnswersMessage]] = _unpacker(
    msgspec.msgpack.Decoder(AnswersMessage).decode
)


def _fault(raw: bytes | memoryview, error: Exception) -> str:
    """What is wrong with an envelope that could not be decoded."""
    try:
        fields = msgspec.msgpack.decode(raw)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as not_msgpack:
        return f"not an envelope: {not_msgpack}"
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        return "not an envelope: expected an array of tag and fields"
    version, kind = divmod(fields[0], 256)
    if version != VERSION:
        return f"envelope version {version}, expected {VERSION}"
    if fields[0] not in _BY_TAG:
        return f"unknown envelope kind {kind}"
    name = _BY_TAG[fields[0]].__name__
    try:
        _decode(raw)
    except (msgspec.DecodeError, ValueError):
        return f"malformed {name}: {error}"
    return f"{name} does not belong on this link"
