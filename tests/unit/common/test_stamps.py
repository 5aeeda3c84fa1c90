"""Whatever is damaged between two stages is noticed, and what has no stamp is let through."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import Audio, Frame
from common.stamps import (
    audio_is_as_stamped,
    audio_stamp,
    frame_stamp,
    is_as_stamped,
    is_sealed,
    seal,
    sealed,
    stamp_of,
)
from common.wire import Mark

SESSION = bytes(range(16))


def frame(message: bytes, *, seq: int = 7, policy: int = 5, attempt: int = 0) -> Frame:
    stamp = frame_stamp(stamp_of(message), SESSION, seq, policy, attempt)
    return Frame(SESSION, seq, 123, "ipc://a", policy, stamp, attempt)


def audio(pcm: bytes, *, hole_samples: int = 0) -> Audio:
    stamp = audio_stamp(SESSION, 7, 16_000, False, hole_samples, Mark.NONE, 0, pcm)
    return Audio(SESSION, 7, 16_000, False, hole_samples, 123, stamp=stamp)


def flipped(message: bytes, bit: int) -> bytes:
    damaged = bytearray(message)
    damaged[bit // 8 % len(message)] ^= 1 << bit % 8
    return bytes(damaged)


@given(message=st.binary(min_size=1, max_size=300), bit=st.integers(0, 10_000))
def test_a_flipped_bit_between_two_stages_is_noticed(message: bytes, bit: int) -> None:
    damaged = flipped(message, bit)
    assert is_as_stamped(frame(message), message)
    assert not is_as_stamped(frame(message), damaged)
    assert audio_is_as_stamped(audio(message), message)
    assert not audio_is_as_stamped(audio(message), damaged)
    *parts, found = sealed(message, b"payload")
    assert is_sealed(found, *parts)
    assert not is_sealed(found, damaged, b"payload")
    assert not is_sealed(found, message, flipped(b"payload", bit))
    assert not is_sealed(flipped(found, bit), *parts)
    assert not is_sealed(b"", *parts)
    assert is_sealed(seal(message), message)


@given(message=st.binary(max_size=50))
def test_a_message_under_the_header_of_another_frame_is_noticed(message: bytes) -> None:
    header = frame(message)
    for field, value in (
        ("seq", 8),
        ("policy", 4),
        ("attempt", 1),
        ("session", bytes(16)),
        ("key", "alice"),
    ):
        assert not is_as_stamped(msgspec.structs.replace(header, **{field: value}), message)
    sound = audio(b"", hole_samples=10)
    changes: list[tuple[str, object]] = [
        ("seq", 8),
        ("sample_rate_hz", 8_000),
        ("corrupt", True),
        ("hole_samples", 11),
        ("mark", Mark.END),
        ("mark_number", 1),
        ("session", bytes(16)),
    ]
    for name, change in changes:
        assert not audio_is_as_stamped(msgspec.structs.replace(sound, **{name: change}), b"")


def test_what_carries_no_stamp_is_let_through() -> None:
    """As a peer of an earlier version sends it."""
    assert is_as_stamped(Frame(SESSION, 7, 123, "ipc://a", 5), b"anything")
    assert audio_is_as_stamped(Audio(SESSION, 7, 16_000, False, 0), b"anything")


def test_a_stamp_is_never_zero() -> None:
    assert frame_stamp(0, SESSION, 7, 5, 0) == 0, "none was taken"
    assert stamp_of(b"") != 0
    assert audio_stamp(SESSION, 0, 0, False, 0, Mark.NONE, 0, b"") != 0
