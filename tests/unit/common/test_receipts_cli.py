"""The command stt-verify: what it prints and its exit status."""

from __future__ import annotations

import base64
import hashlib
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.receipts.checking import prove
from common.receipts.cli import EXIT_DIFFERS, EXIT_HOLDS, EXIT_UNREADABLE, main
from common.receipts.signing import load_public, make_keys
from common.receipts.statement import Bundle, FrameRecord, Heard, Judgement, parse_bundle
from gateway.receipts import ReceiptBook
from tests.unit.common.test_receipts_chain import AUDIO, CHAIN, TRANSCRIPT
from tests.unit.gateway.test_receipts import ABOUT, SIGNER, TOLD, public_pem


def p384() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    """A folder with a receipt, its audio and transcript, and the public keys."""
    (tmp_path / "receipt").write_bytes(msgspec.json.encode(TOLD.bundle))
    (tmp_path / "audio.pcm").write_bytes(TOLD.audio)
    (tmp_path / "text").write_bytes(TOLD.transcript)
    with wave.open(str(tmp_path / "audio.wav"), "wb") as audio:
        audio.setparams((1, 2, 16_000, 0, "NONE", ""))
        audio.writeframes(TOLD.audio)
    (tmp_path / "keys").mkdir()
    make_keys(tmp_path / "keys")  # of a rotation
    (tmp_path / "keys" / "old.pub").write_bytes(public_pem())
    return tmp_path


def verify(folder: Path, *names: str) -> int:
    return main(["--key", str(folder / "keys"), *(str(folder / name) for name in names)])


@pytest.mark.parametrize("audio", ["audio.pcm", "audio.wav"])
def test_all_that_holds_is_said_with_exit_status_0(
    receipt: Path, audio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(receipt, "receipt", audio, "text") == EXIT_HOLDS
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[OK] ") for line in lines)
    assert len(lines) == 7


def test_what_differs_is_said_with_exit_status_1(
    receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (receipt / "audio.pcm").write_bytes(b"\xff" + TOLD.audio[1:])
    assert verify(receipt, "receipt", "audio.pcm", "text") == EXIT_DIFFERS
    out = capsys.readouterr().out
    assert "[FAIL] audio: not what the server received: frame 0 is the first that differs" in out
    assert "[OK] transcript" in out


@pytest.mark.parametrize("kind, number, part", [("frame", "1", "1.pcm"), ("sentence", "0", "0")])
def test_one_part_is_proven_with_a_file_of_its_own(
    receipt: Path, kind: str, number: str, part: str
) -> None:
    out = receipt / "part"
    assert main([f"--prove-{kind}", number, str(out), str(receipt / "receipt")]) == EXIT_HOLDS
    assert parse_bundle(out.read_bytes()).proof is not None
    assert verify(receipt, "part") == EXIT_HOLDS


def test_findings_are_printed_as_json(receipt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = str(receipt / "keys")
    assert main(["--json", "--key", key, str(receipt / "receipt")]) == EXIT_HOLDS
    found = json.loads(capsys.readouterr().out)
    assert [finding["holds"] for finding in found] == [True] * 4


def test_what_cannot_be_looked_at_has_exit_status_2(
    receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(receipt / "receipt")]) == EXIT_UNREADABLE
    assert "name the server's public key with --key" in capsys.readouterr().err
    assert verify(receipt, "nothing of that name") == EXIT_UNREADABLE
    assert verify(receipt, "text") == EXIT_UNREADABLE
    assert verify(receipt, "receipt", "text") == EXIT_UNREADABLE
    assert main(["--prove-frame", "x", "out", str(receipt / "receipt")]) == EXIT_UNREADABLE
    assert main(["--prove-frame", "5", "out", str(receipt / "receipt")]) == EXIT_UNREADABLE
    assert len(load_public(receipt / "keys")) == 2


def test_receipts_of_one_stream_are_checked_together(
    receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, bundle in zip(("first", "second"), CHAIN, strict=True):
        (receipt / name).write_bytes(msgspec.json.encode(bundle))
    (receipt / "all.pcm").write_bytes(AUDIO)
    (receipt / "all.txt").write_bytes(TRANSCRIPT)
    assert verify(receipt, "first", "second", "all.pcm", "all.txt") == EXIT_HOLDS
    assert "receipt 2: it goes on at sample 8300" in capsys.readouterr().out
    assert verify(receipt, "second", "first", "all.pcm") == EXIT_DIFFERS
    assert verify(receipt, "first", "second", "all.pcm", "all.txt", "more") == EXIT_UNREADABLE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


def changed(value: Any, data: st.DataObject) -> Any:
    """The same JSON with one value replaced, added or left out, however deep."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value)))
        rest = {name: one for name, one in value.items() if name != key}
        return rest if data.draw(st.booleans()) else {**rest, key: changed(value[key], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(value[at], data), *value[at + 1 :]]
    return data.draw(JSON)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), part=st.sampled_from(["file", "statement", "proof", "bytes"]))
def test_whatever_a_file_holds_it_is_said_in_a_line_and_nothing_is_raised(
    receipt: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject, part: str
) -> None:
    """Also what the server itself has signed, since its key may be in the wrong hands."""
    bundle = json.loads(msgspec.json.encode(TOLD.bundle))
    match part:
        case "file":
            raw = json.dumps(changed(bundle, data)).encode()
        case "statement":
            stated = changed(json.loads(base64.b64decode(bundle["receipt"]["payload"])), data)
            bundle["receipt"] = msgspec.to_builtins(SIGNER.sign(json.dumps(stated).encode()))
            raw = json.dumps(bundle).encode()
        case "proof":
            kind = data.draw(st.sampled_from(["frame", "sentence"]))
            proof = json.loads(msgspec.json.encode(prove(TOLD.bundle, kind, 0)))
            raw = json.dumps({**proof, "proof": changed(proof["proof"], data)}).encode()
        case _:
            raw = data.draw(st.binary(max_size=200))
    (receipt / "any").write_bytes(raw)
    status = verify(receipt, "any", "audio.pcm", "text")
    said = capsys.readouterr()
    assert status in (EXIT_HOLDS, EXIT_DIFFERS, EXIT_UNREADABLE)
    assert (len(said.err.splitlines()) == 1) == (status == EXIT_UNREADABLE)
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"receipt":' * 50_000,
        b'{"payload":NaN,"payloadType":"x","signatures":[]}',
        b'{"payload":"","payloadType":"x","signatures":[],"payloadType":1}',
        b'{"payload":"\xff","payloadType":"x","signatures":[]}',
        b'{"receipt":{"payload":"","payloadType":"x","signatures":[]},"frames":1e400}',
    ],
)
def test_what_is_no_receipt_is_refused_in_one_line(
    receipt: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (receipt / "any").write_bytes(raw)
    assert verify(receipt, "any") == EXIT_UNREADABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stt-verify: ")


def test_a_first_file_that_is_no_receipt_is_named(
    receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(receipt, "audio.wav", "receipt") == EXIT_UNREADABLE
    assert f"{receipt / 'audio.wav'} is not a receipt" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"predicateType": "urn:verified-stt:receipt:v2"}, {"_type": "another"}]
)
def test_a_statement_of_another_version_is_refused_by_name(
    receipt: Path, change: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    stated = json.loads(base64.b64decode(TOLD.bundle.receipt.payload)) | change
    signed = Bundle(SIGNER.sign(json.dumps(stated).encode()))
    (receipt / "any").write_bytes(msgspec.json.encode(signed))
    assert verify(receipt, "any") == EXIT_UNREADABLE
    (name,) = change.values()
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("make", [lambda: rsa.generate_private_key(65537, 2048), p384])
def test_a_key_of_another_kind_is_refused(
    receipt: Path, make: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pem = (
        make()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (receipt / "keys" / "other.pub").write_bytes(pem)
    assert verify(receipt, "receipt") == EXIT_UNREADABLE
    assert "neither an Ed25519 key nor one on P-256" in capsys.readouterr().err


def test_a_session_of_frames_that_could_not_be_read_can_be_checked(receipt: Path) -> None:
    """Their rate is not known: no length in seconds is told."""
    book = ReceiptBook(bytes(16), 0)
    book.frame(
        FrameRecord(0, Judgement.CORRUPT, Heard.NOTHING, 0, 0, hashlib.sha256().digest()),
        memoryview(b""),
    )
    records = book.records()
    assert records is not None
    envelope = SIGNER.sign(msgspec.json.encode(book.statement(1, ABOUT)))
    bundle = Bundle.of(envelope, base64.b64decode(records.frames), [])
    (receipt / "any").write_bytes(msgspec.json.encode(bundle))
    (receipt / "none.pcm").write_bytes(b"")
    assert verify(receipt, "any", "none.pcm") == EXIT_HOLDS
