"""Bytes of every envelope, written down once: they must decode forever.

A failing test here means that old peers would not be understood any more. Append fields with
defaults, or raise the version; never edit the bytes.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from common.envelope import (
    Ack,
    AckBatch,
    Audio,
    AudioBatch,
    CallMethod,
    Close,
    Commit,
    Drained,
    Finish,
    Frame,
    FrameBatch,
    GetParameter,
    Open,
    Opened,
    Ping,
    RecorderEvent,
    Reply,
    Sentence,
    SetParameter,
    TranscriberHello,
    Verdict,
    VerdictBatch,
    VerifierHello,
    Word,
    unpack,
)
from common.wire import Mark

SESSION: Final = bytes(range(16))

ENVELOPES: Final[list[tuple[str, Any]]] = [
    (
        (
            "93cd0303a17691dc0010c410000102030405060708090a0b0c0d0e0f070004040101cd3e80c0a0a0c2a0"
            "01c400a6637263333263"
        ),
        VerdictBatch(
            "v",
            [
                Verdict(
                    session=SESSION,
                    seq=7,
                    code=0,
                    expected_length=4,
                    actual_length=4,
                    expected_checksum=1,
                    actual_checksum=1,
                    sample_rate_hz=16000,
                    attempt=1,
                    algorithm="crc32c",
                )
            ],
        ),
    ),
    (
        (
            "9ccd0308a174c410000102030405060708090a0b0c0d0e0fa348692e000493010004a00000a46e756c6c"
            "a474696e79"
        ),
        Sentence("t", SESSION, "Hi.", 0, 4, Commit(1, 0, 4), engine="null", model="tiny"),
    ),
    (
        (
            "93cd0301a267779197c410000102030405060708090a0b0c0d0e0f077ba76970633a2f2f611dcfffffffffffff"
            "ffff02"
        ),
        FrameBatch("gw", [Frame(SESSION, 7, 123, "ipc://a", 29, stamp=2**64 - 1, attempt=2)]),
    ),
    (
        (
            "93cd0301a267779198c410000102030405060708090a0b0c0d0e0f077ba76970633a2f2f611dcfffffffffff"
            "ffffff02a5616c696365"
        ),
        FrameBatch(
            "gw",
            [Frame(SESSION, 7, 123, "ipc://a", 29, stamp=2**64 - 1, attempt=2, key="alice")],
        ),
    ),
    (
        "92cd03029199c410000102030405060708090a0b0c0d0e0f07cd3e80c2007ba000cf8000000000000000",
        AudioBatch([Audio(SESSION, 7, 16000, False, 0, 123, stamp=2**63)]),
    ),
    (
        (
            "93cd0303a176919fc410000102030405060708090a0b0c0d0e0f070004040101cd3e8003a0a0c3a001c420"
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        ),
        VerdictBatch(
            "v",
            [
                Verdict(
                    session=SESSION,
                    seq=7,
                    code=0,
                    expected_length=4,
                    actual_length=4,
                    expected_checksum=1,
                    actual_checksum=1,
                    sample_rate_hz=16000,
                    audio_sequence=3,
                    asks_verification=True,
                    attempt=1,
                    pcm_sha256=bytes(range(32)),
                )
            ],
        ),
    ),
    (
        (
            "93cd0301a267779195c410000102030405060708090a0b0c0d0e0fcfffffffffffffffffcf800000000000"
            "0000b16970633a2f2f2f746d702f612e736f636b05"
        ),
        FrameBatch(
            "gw",
            [
                Frame(
                    session=SESSION,
                    seq=18446744073709551615,
                    received_ns=9223372036854775808,
                    audio_endpoint="ipc:///tmp/a.sock",
                    policy=5,
                )
            ],
        ),
    ),
    (
        "92cd03029196c410000102030405060708090a0b0c0d0e0f07cd3e80c3cd10007b",
        AudioBatch(
            [
                Audio(
                    session=SESSION,
                    seq=7,
                    sample_rate_hz=16000,
                    corrupt=True,
                    hole_samples=4096,
                    received_ns=123,
                )
            ]
        ),
    ),
    (
        "92cd03029198c410000102030405060708090a0b0c0d0e0f08cd5dc0c2007ba3656e6403",
        AudioBatch(
            [
                Audio(
                    session=SESSION,
                    seq=8,
                    sample_rate_hz=24000,
                    corrupt=False,
                    hole_samples=0,
                    received_ns=123,
                    mark=Mark.END,
                    mark_number=3,
                )
            ]
        ),
    ),
    (
        (
            "93cd0303aa76657269666965722d31929cc410000102030405060708090a0b0c0d0e0f0702cd1000cd"
            "0ffaceffffffffa430306666cd3e8003a0a178c39cc410000102030405060708090a0b0c0d0e0f07"
            "02c0cd0ffaceffffffffa430306666cd3e8003a0a178c3"
        ),
        VerdictBatch(
            verifier="verifier-1",
            verdicts=[
                Verdict(
                    session=SESSION,
                    seq=7,
                    code=2,
                    expected_length=4096,
                    actual_length=4090,
                    expected_checksum=4294967295,
                    actual_checksum="00ff",
                    sample_rate_hz=16000,
                    audio_sequence=3,
                    malformed="",
                    diagnosis="x",
                    asks_verification=True,
                ),
                Verdict(
                    session=SESSION,
                    seq=7,
                    code=2,
                    expected_length=None,
                    actual_length=4090,
                    expected_checksum=4294967295,
                    actual_checksum="00ff",
                    sample_rate_hz=16000,
                    audio_sequence=3,
                    malformed="",
                    diagnosis="x",
                    asks_verification=True,
                ),
            ],
        ),
    ),
    (
        "96cd0304aa76657269666965722d312a0a01c3",
        VerifierHello(verifier="verifier-1", pid=42, frames=10, corrupt=1, draining=True),
    ),
    (
        "99cd0305a3742d312aa76970633a2f2f61a76970633a2f2f63a46e756c6c0140c3",
        TranscriberHello(
            instance="t-1",
            pid=42,
            audio_endpoint="ipc://a",
            commands_endpoint="ipc://c",
            engine="null",
            sessions=1,
            max_sessions=64,
            draining=True,
        ),
    ),
    (
        "9ccd0305a3742d312aa76970633a2f2f61a76970633a2f2f63a46e756c6c0140c3a76970633a2f2f72cb3fe0000000000000cb3fd0000000000000",
        TranscriberHello(
            instance="t-1",
            pid=42,
            audio_endpoint="ipc://a",
            commands_endpoint="ipc://c",
            engine="null",
            sessions=1,
            max_sessions=64,
            draining=True,
            results="ipc://r",
            final_wait_s=0.5,
            cores=0.25,
        ),
    ),
    (
        "93cd0306a3742d319195c410000102030405060708090a0b0c0d0e0f0309920406930364cdbb80",
        AckBatch(
            instance="t-1",
            acks=[
                Ack(
                    session=SESSION,
                    fed=3,
                    held_below=9,
                    gaps=[4, 6],
                    commit=Commit(seq=3, skip_samples=100, sample=48000),
                )
            ],
        ),
    ),
    (
        (
            "96cd0307a3742d31c410000102030405060708090a0b0c0d0e0fa87265616c74696d65cd3e80a76772"
            "c3bcc39f65"
        ),
        RecorderEvent(
            instance="t-1", session=SESSION, type="realtime", at_sample=16000, text="grüße"
        ),
    ),
    (
        (
            "98cd0308a3742d31c410000102030405060708090a0b0c0d0e0fa648656c6c6f2e00cdbb80930364cd"
            "bb80a66661696c6564"
        ),
        Sentence(
            instance="t-1",
            session=SESSION,
            text="Hello.",
            start_sample=0,
            end_sample=48000,
            commit=Commit(seq=3, skip_samples=100, sample=48000),
            error="failed",
        ),
    ),
    (
        ("9acd0308a3742d31c410000102030405060708090a0b0c0d0e0fa0cd01e0cd01e0930300cd01e0a00003"),
        Sentence(
            instance="t-1",
            session=SESSION,
            text="",
            start_sample=480,
            end_sample=480,
            commit=Commit(seq=3, skip_samples=0, sample=480),
            mark=3,
        ),
    ),
    (
        "9dcd0308a3742d31c410000102030405060708090a0b0c0d0e0fa648656c6c6f2e00cdbb80940300cdbb8000a00000a0a09194a568656c6c6fcd0640cd2580cb3fe0000000000000",
        Sentence(
            instance="t-1",
            session=SESSION,
            text="Hello.",
            start_sample=0,
            end_sample=48000,
            commit=Commit(seq=3, skip_samples=0, sample=48000),
            words=(Word("hello", 1600, 9600, 0.5),),
        ),
    ),
    (
        "93cd0309a3742d31c410000102030405060708090a0b0c0d0e0f",
        Drained(instance="t-1", session=SESSION),
    ),
    (
        "95cd0309a3742d31c410000102030405060708090a0b0c0d0e0f0703",
        Drained(instance="t-1", session=SESSION, epoch=7, sentences=3),
    ),
    (
        (
            "98cd0314a26777c410000102030405060708090a0b0c0d0e0f930364cdbb804082a86c616e67756167"
            "65a2656ea1789401c0cb4004000000000000c30201"
        ),
        Open(
            gateway="gw",
            session=SESSION,
            start=Commit(seq=3, skip_samples=100, sample=48000),
            window_frames=64,
            parameters={"language": "en", "x": [1, None, 2.5, True]},
            tolerated=2,
            failures=1,
        ),
    ),
    (
        "94cd0315a3742d31c410000102030405060708090a0b0c0d0e0fa466756c6c",
        Opened(instance="t-1", session=SESSION, error="full"),
    ),
    ("92cd0316c410000102030405060708090a0b0c0d0e0f", Close(session=SESSION)),
    ("93cd0317c410000102030405060708090a0b0c0d0e0f63", Finish(session=SESSION, end_seq=99)),
    (
        (
            "95cd031801c410000102030405060708090a0b0c0d0e0fb273696c65726f5f73656e73697469766974"
            "79cb3fd999999999999a"
        ),
        SetParameter(request=1, session=SESSION, name="silero_sensitivity", value=0.4),
    ),
    (
        "94cd031902c410000102030405060708090a0b0c0d0e0fa86c616e6775616765",
        GetParameter(request=2, session=SESSION, name="language"),
    ),
    (
        "96cd031a03c410000102030405060708090a0b0c0d0e0fa474657874910181a161a162",
        CallMethod(request=3, session=SESSION, name="text", args=[1], kwargs={"a": "b"}),
    ),
    ("95cd031b03c2c0a26e6f", Reply(request=3, ok=False, value=None, message="no")),
    (
        "93cd031ca2677791c410000102030405060708090a0b0c0d0e0f",
        Ping(gateway="gw", sessions=[SESSION]),
    ),
]


@pytest.mark.parametrize(
    "hexadecimal, message", ENVELOPES, ids=[type(m).__name__ for _, m in ENVELOPES]
)
def test_an_envelope_of_version_3_decodes_forever(hexadecimal: str, message: Any) -> None:
    assert unpack(bytes.fromhex(hexadecimal)) == message
