"""What a client is told of a frame that healed: the same as stt-inspect shows, now and then."""

from __future__ import annotations

from common.envelope import Code, Verdict
from common.wire import Metadata, build_message, mark_resent
from gateway.explaining import INTERVAL_S, MAX_BYTES, Explainer
from gateway.healing import Mended
from gateway.retransmission import RetransmissionTimer
from gateway.window import HeldFrame, Window

MENDED = Mended(1, 0.02)
SENT = build_message(Metadata(sample_rate=16_000, checksum=1, audio_sequence=0), b"\1\2" * 500)
VERDICT = Verdict(bytes(16), 0, Code.CORRUPT, 1, 1, 0, 0)


def frame(arrived: bytes | None, sent: bytes = SENT) -> HeldFrame:
    """A frame as the window holds it once it healed."""
    window = Window(8, 1 << 20, RetransmissionTimer(0.25, 4.0))
    held = window.frame(window.accept(mark_resent(sent, 1), 0.0, 0))
    assert held is not None
    held.spoiled = (arrived, VERDICT) if arrived is not None else None
    return held


def test_it_is_said_which_bit_had_flipped_with_what_was_sent_beside_what_arrived() -> None:
    arrived = bytearray(SENT)
    arrived[700] ^= 0x40
    event = Explainer().healed(frame(bytes(arrived)), 7, MENDED, 0.0)
    assert (event.sequence, event.attempts, event.delay_ms) == (7, 1, 20.0)
    assert (
        event.what == f"bit 6 of byte 700 was flipped: {SENT[700]:#04x} became {arrived[700]:#04x}"
    )
    assert any("sent" in line for line in event.view)
    assert len(event.view) < 20


def test_one_frame_in_a_second_is_explained() -> None:
    explainer = Explainer()
    damaged = frame(SENT[:-10])
    said = [explainer.healed(damaged, 0, MENDED, now_s).what for now_s in (5.0, 5.5, 6.0)]
    assert [bool(text) for text in said] == [True, False, True]
    assert INTERVAL_S == 1.0


def test_of_a_frame_that_never_came_and_of_a_long_one_nothing_is_said() -> None:
    long = build_message(Metadata(sample_rate=16_000), bytes(MAX_BYTES))
    for held in (frame(None), frame(long[:-1], long)):
        event = Explainer().healed(held, 0, MENDED, 0.0)
        assert (event.what, event.view) == ("", [])
