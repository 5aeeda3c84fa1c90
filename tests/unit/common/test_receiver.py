"""Messages of a link: what is of no use is dropped, counted and said, and harms no other."""

from __future__ import annotations

import logging

import pytest

from common.envelope import (
    Audio,
    AudioBatch,
    Drained,
    VerifierHello,
    pack,
    unpack_audio,
    unpack_frames,
    unpack_verdicts,
)
from common.errors import EnvelopeError
from common.receiver import COMPLAINTS_AT_ONCE, Bundle, Letter, Receiver
from common.stamps import seal, sealed

SESSION = bytes(16)
HELLO = VerifierHello("v", 1, 0, 0)
AUDIO = AudioBatch([Audio(SESSION, 0, 16_000, False, 0)])


class Drops:
    """Counts what a receiver dropped."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def drops() -> Drops:
    return Drops()


def test_letters_come_in_order_and_typed(drops: Drops) -> None:
    receiver = Receiver("audio", unpack_audio, drops)
    messages = [[pack(AUDIO), b"\1\2"], [pack(AUDIO)]]
    assert list(receiver.letters(messages)) == [Letter(AUDIO, b"\1\2"), Letter(AUDIO, b"")]
    assert drops.count == 0


def test_a_topic_or_sender_before_the_envelope_is_told(drops: Drops) -> None:
    receiver = Receiver("verdicts", unpack_verdicts, drops, addressed=True)
    (letter,) = receiver.letters([[b"gateway", pack(HELLO)]])
    assert letter == Letter(HELLO, b"", b"gateway")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [b"\xc1 no msgpack"],
        [pack(HELLO)],
        [pack(Drained("t", SESSION)), b"payload"],
        [pack(AUDIO), b"\1\2", b"a third"],
        [pack(AUDIO)[:-2], b"\1\2"],
    ],
)
def test_what_is_of_no_use_is_counted_and_the_others_are_kept(
    parts: list[bytes], drops: Drops
) -> None:
    receiver = Receiver("audio", unpack_audio, drops)
    good = [pack(AUDIO), b"\1\2"]
    assert list(receiver.letters([good, parts, good])) == [Letter(AUDIO, b"\1\2")] * 2
    assert drops.count == 1


def test_a_payload_that_does_not_fit_is_dropped(drops: Drops) -> None:
    def even(_: AudioBatch, payload: bytes | None) -> None:
        if payload is None or len(payload) % 2:
            raise EnvelopeError("odd")

    receiver = Receiver("audio", unpack_audio, drops, check=even)
    messages = [[pack(AUDIO), b"\1"], [pack(AUDIO)], [pack(AUDIO), b"\1\2"]]
    assert [letter.payload for letter in receiver.letters(messages)] == [b"\1\2"]
    assert drops.count == 2


@pytest.mark.parametrize("part", [1, 2, 3], ids=["envelope", "payload", "seal"])
def test_what_does_not_fit_its_seal_is_counted_apart_and_dropped(
    part: int, drops: Drops, caplog: pytest.LogCaptureFixture
) -> None:
    damages = Drops()
    receiver = Receiver("audio", unpack_audio, drops, addressed=True, on_damage=damages)
    good = [b"topic", *sealed(pack(AUDIO), b"\1\2")]
    damaged = [*good]
    damaged[part] = bytes([damaged[part][0] ^ 8]) + damaged[part][1:]
    found = list(receiver.letters([good, damaged, good]))
    assert found == [Letter(AUDIO, b"\1\2", b"topic")] * 2
    assert (drops.count, damages.count) == (0, 1)
    assert "audio link: it was damaged on its way" in caplog.text


@pytest.mark.parametrize("parts", [[], [pack(AUDIO)], [seal(b"")]])
def test_a_message_without_the_seal_that_is_asked_for_is_of_no_use(
    parts: list[bytes], drops: Drops
) -> None:
    damages = Drops()
    receiver = Receiver("audio", unpack_audio, drops, on_damage=damages)
    assert not list(receiver.letters([parts]))
    assert (drops.count, damages.count) == (1, 0)


def test_a_bundle_has_as_many_payloads_as_its_envelope_announces(drops: Drops) -> None:
    receiver = Receiver("audio", unpack_audio, drops)
    two = AudioBatch(AUDIO.frames * 2)
    messages = [
        [pack(two), b"\1\2", b"\3\4"],
        [],
        [pack(two)],
        [pack(two), b"\1\2"],
        [pack(AUDIO), b"\1\2", b"a second"],
        [pack(HELLO), b"\1\2"],
        [pack(AUDIO), b""],
    ]
    bundles = list(receiver.bundles(messages, lambda batch: len(batch.frames)))
    assert bundles == [Bundle(two, [b"\1\2", b"\3\4"]), Bundle(AUDIO, [b""])]
    assert drops.count == 5


def test_a_flood_costs_a_few_lines_and_is_counted_in_full(
    drops: Drops, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver("frames", unpack_frames, drops)
    with caplog.at_level(logging.ERROR):
        assert not list(receiver.letters([[pack(HELLO)]] * 1_000))
    assert drops.count == 1_000
    assert len(caplog.records) == COMPLAINTS_AT_ONCE
    assert "frames link" in caplog.text
    assert "VerifierHello does not belong on this link" in caplog.text
