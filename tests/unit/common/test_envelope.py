from __future__ import annotations

import contextlib
from typing import Any, get_args

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import envelope
from common.envelope import (
    RUN_FRAMES,
    VERSION,
    Ack,
    AckBatch,
    Audio,
    AudioBatch,
    CallMethod,
    Close,
    Code,
    Commit,
    Drained,
    EngineHello,
    EnginePing,
    Finish,
    Frame,
    FrameBatch,
    GetParameter,
    Message,
    Open,
    Opened,
    Ping,
    Promote,
    RecorderEvent,
    Reply,
    Sentence,
    SetParameter,
    Transcribe,
    Transcribed,
    TranscriberHello,
    Verdict,
    VerdictBatch,
    VerifierHello,
    Withdraw,
    pack,
    unpack,
    unpack_frames,
    unpack_verdicts,
)
from common.errors import EnvelopeError

SESSION = bytes(range(16))
VERDICT = Verdict(SESSION, 7, Code.CORRUPT, 4096, 4090, 2**32 - 1, "00ff", 16_000, 3, "", "x", True)
COMMIT = Commit(3, 100, 48_000)

EXAMPLES: list[Message] = [
    FrameBatch("gw", [Frame(SESSION, 2**64 - 1, 2**63, "ipc:///tmp/a.sock", 5)]),
    AudioBatch([Audio(SESSION, 7, 16_000, True, 4096, 123), Audio(SESSION, 8, 8_000, False, 0)]),
    VerdictBatch("verifier-1", [VERDICT, msgspec.structs.replace(VERDICT, expected_length=None)]),
    VerifierHello("verifier-1", 42, 10, 1, True),
    TranscriberHello("t-1", 42, "ipc://a", "ipc://c", "null", 1, 64, True),
    AckBatch("t-1", [Ack(SESSION, 3, 9, [4, 6], COMMIT)]),
    RecorderEvent("t-1", SESSION, "realtime", 16_000, "grüße"),
    Sentence("t-1", SESSION, "Hello.", 0, 48_000, COMMIT, "failed"),
    Drained("t-1", SESSION),
    Open("gw", SESSION, COMMIT, 64, {"language": "en", "x": [1, None, 2.5, True]}, 2, 1),
    Opened("t-1", SESSION, "full"),
    Close(SESSION),
    Finish(SESSION, 99),
    SetParameter(1, SESSION, "silero_sensitivity", 0.4),
    GetParameter(2, SESSION, "language"),
    CallMethod(3, SESSION, "text", [1], {"a": "b"}),
    Reply(3, False, None, "no"),
    Ping("gw", [SESSION]),
    Transcribe(5, "abc-1", 1, "en", True, False, 16_000, 80),
    Promote(5),
    Withdraw(5),
    EnginePing("t-1"),
    Transcribed(5, "Hello.", "en", 0.9, "", "{}"),
    EngineHello("e-1", 42, "faster_whisper", 1, 0.25, 80),
]
by_name = pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)


def fields_of(message: Message) -> list[Any]:
    """The envelope as a foreign implementation of msgpack sees it."""
    decoded = msgpack.unpackb(pack(message))
    assert isinstance(decoded, list)
    return decoded


def tag(message: Message) -> object:
    """What its array begins with."""
    return type(message).__struct_config__.tag


def values_of(message: Message) -> tuple[Any, ...]:
    """Its fields' values in order."""
    return msgspec.structs.astuple(message)


def defaults_of(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The defaults of the fields that have one."""
    fields = msgspec.structs.fields(record)
    return {f.name: f.default for f in fields if f.default is not msgspec.NODEFAULT}


def test_every_kind_has_an_example_and_a_number_of_its_own() -> None:
    assert set(get_args(Message)) == {type(message) for message in EXAMPLES}
    assert len({tag(message) for message in EXAMPLES}) == len(EXAMPLES)


@by_name
def test_what_is_packed_is_unpacked_again(message: Message) -> None:
    assert unpack(pack(message)) == message
    assert type(unpack(memoryview(pack(message)))) is type(message)


@by_name
def test_it_is_plain_msgpack_of_tag_and_fields(message: Message) -> None:
    fields = fields_of(message)
    assert fields[0] == tag(message)
    assert fields[0] // 256 == VERSION
    assert len(fields) == 1 + len(values_of(message))


@by_name
def test_a_field_that_a_newer_peer_appends_is_ignored(message: Message) -> None:
    newer = msgpack.packb([*fields_of(message), "new", {"more": [1]}])
    assert unpack(newer) == message


@by_name
def test_a_default_fills_in_what_an_older_peer_does_not_send(message: Message) -> None:
    defaults = defaults_of(type(message))
    required = len(values_of(message)) - len(defaults)
    older = msgpack.packb(fields_of(message)[: 1 + required])
    assert unpack(older) == msgspec.structs.replace(message, **defaults)
    with pytest.raises(EnvelopeError, match=type(message).__name__):
        unpack(msgpack.packb(fields_of(message)[:required]))


@by_name
def test_a_field_of_the_wrong_type_is_refused(message: Message) -> None:
    for position, name in enumerate(message.__struct_fields__, 1):
        if name in ("value", "expected_checksum", "actual_checksum"):
            continue  # these take nearly anything
        fields = fields_of(message)
        fields[position] = {"wrong": {"type": 1.5}} if name != "parameters" else 5
        if name == "kwargs":
            fields[position] = 5
        with pytest.raises(EnvelopeError, match=type(message).__name__):
            unpack(msgpack.packb(fields))


def test_text_is_not_taken_for_bytes_nor_bytes_for_text() -> None:
    fields = fields_of(Close(SESSION))
    fields[1] = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(EnvelopeError):
        unpack(msgpack.packb(fields))
    fields = fields_of(Ping("gw", []))
    fields[1] = b"gw"
    with pytest.raises(EnvelopeError):
        unpack(msgpack.packb(fields))


def test_a_verdict_of_an_older_verifier_is_filled_in_inside_its_batch() -> None:
    fields = fields_of(VerdictBatch("v", [VERDICT]))
    fields[2] = [fields[2][0][:7]]
    batch = unpack(msgpack.packb(fields))
    assert isinstance(batch, VerdictBatch)
    assert batch.verdicts[0] == msgspec.structs.replace(VERDICT, **defaults_of(Verdict))


@pytest.mark.parametrize(
    "raw, complaint",
    [
        (b"", "not an envelope"),
        (b"\xc1", "not an envelope"),
        (b"\x91" * 100_000, "not an envelope"),
        (msgpack.packb(5), "expected an array"),
        (msgpack.packb({}), "expected an array"),
        (msgpack.packb([]), "expected an array"),
        (msgpack.packb([envelope.tag_of(1) + 256, 1]), "version 4, expected 3"),
        (msgpack.packb([str(envelope.tag_of(1)), 1]), "expected an array of tag"),
        (msgpack.packb([envelope.tag_of(99), 1]), "unknown envelope kind 99"),
        (msgpack.packb([[envelope.tag_of(1)]]), "expected an array of tag"),
        (msgpack.packb([None]), "expected an array of tag"),
        (msgpack.packb([True]), "expected an array of tag"),
        (msgpack.packb([float(envelope.tag_of(1))]), "expected an array of tag"),
        (msgpack.packb([-1]), "version -1"),
        (msgpack.packb([1, 22, SESSION]), "version 0, expected 3"),
        (pack(Close(SESSION)) + b"\x00", "not an envelope"),
        (pack(Close(SESSION))[:-1], "not an envelope"),
        (b"\x93\x01\x16\xa1\xff", "not an envelope"),
    ],
)
def test_what_is_no_envelope_is_refused_with_a_reason(raw: bytes, complaint: str) -> None:
    with pytest.raises(EnvelopeError, match=complaint):
        unpack(raw)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_raise_nothing_but_envelope_error(raw: bytes) -> None:
    with contextlib.suppress(EnvelopeError):
        unpack(raw)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
values = st.recursive(
    scalars | st.text(max_size=5) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.sampled_from(EXAMPLES), st.lists(values, max_size=13))
def test_arbitrary_fields_raise_nothing_but_envelope_error(
    example: Message, fields: list[Any]
) -> None:
    try:
        message = unpack(msgspec.msgpack.encode([tag(example), *fields]))
    except EnvelopeError:
        return
    assert type(message) is type(example)


@given(st.sampled_from(EXAMPLES), st.data())
def test_damaged_envelopes_raise_nothing_but_envelope_error(
    message: Message, data: st.DataObject
) -> None:
    raw = bytearray(pack(message))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(EnvelopeError):
        unpack(bytes(raw))


@pytest.mark.parametrize(
    "message",
    [
        Reply(1, True, object(), ""),  # type: ignore[arg-type]
        Finish(SESSION, 2**64),
        Ping("\ud800", []),
    ],
)
def test_what_msgpack_cannot_carry_is_refused_by_the_sender(message: Message) -> None:
    with pytest.raises(EnvelopeError, match=f"cannot pack {type(message).__name__}"):
        pack(message)


def test_a_link_takes_its_own_kinds_only() -> None:
    raw = pack(VerifierHello("v", 1, 0, 0))
    assert unpack_verdicts(raw) == VerifierHello("v", 1, 0, 0)
    with pytest.raises(EnvelopeError, match="VerifierHello does not belong on this link"):
        unpack_frames(raw)


def test_what_is_malformed_is_said_before_where_it_belongs() -> None:
    raw = msgpack.packb([envelope.tag_of(4), "v", "not a pid", 0, 0])
    with pytest.raises(EnvelopeError, match="malformed VerifierHello"):
        unpack_frames(raw)


AUDIO = Audio(SESSION, 0, 16_000, False, 0)
OPEN = Open("gw", SESSION, Commit(0, 0, 0), 64, {})


@pytest.mark.parametrize(
    "message",
    [
        AudioBatch([msgspec.structs.replace(AUDIO, session=b"short")]),
        AudioBatch([msgspec.structs.replace(AUDIO, session=bytes(17))]),
        AudioBatch([msgspec.structs.replace(AUDIO, seq=-1)]),
        AudioBatch([msgspec.structs.replace(AUDIO, sample_rate_hz=-1)]),
        AudioBatch([msgspec.structs.replace(AUDIO, sample_rate_hz=192_001)]),
        AudioBatch([msgspec.structs.replace(AUDIO, hole_samples=-1)]),
        AudioBatch([msgspec.structs.replace(AUDIO, hole_samples=1 << 31)]),
        AudioBatch([msgspec.structs.replace(AUDIO, mark_number=-1)]),
        VerdictBatch("v", [msgspec.structs.replace(VERDICT, code=7)]),
        VerdictBatch("v", [msgspec.structs.replace(VERDICT, code=-1)]),
        VerdictBatch("v", [msgspec.structs.replace(VERDICT, actual_length=-1)]),
        VerdictBatch("v" * 257, [VERDICT]),
        msgspec.structs.replace(OPEN, window_frames=0),
        msgspec.structs.replace(OPEN, window_frames=1 << 30),
        msgspec.structs.replace(OPEN, tolerated=-2),
        msgspec.structs.replace(OPEN, start=Commit(-1, 0, 0)),
        msgspec.structs.replace(OPEN, start=Commit(0, -5, 0)),
        AckBatch("t", [Ack(SESSION, -1, 0, [], Commit(0, 0, 0))]),
        AckBatch("t", [Ack(SESSION, 0, 0, [0] * 5_000, Commit(0, 0, 0))]),
        Finish(SESSION, -1),
        Ping("gw", [SESSION, b"short"]),
        FrameBatch("gw", [Frame(SESSION, 0, 0, "e" * 2_000, 0)]),
        FrameBatch("gw", []),
        FrameBatch("gw", [Frame(SESSION, 0, 0, "ipc://a", 0)] * (RUN_FRAMES + 1)),
        AudioBatch([AUDIO] * (RUN_FRAMES + 1)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_value_outside_its_range_is_refused(message: Message) -> None:
    """Each once made arithmetic fail, an index miss or memory grow, or could have."""
    with pytest.raises(EnvelopeError, match=f"malformed {type(message).__name__}"):
        unpack(pack(message))
