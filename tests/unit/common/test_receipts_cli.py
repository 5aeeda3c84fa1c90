"""The command stt-verify: what it prints and its exit status."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import msgspec
import pytest

from common.receipts.cli import EXIT_DIFFERS, EXIT_HOLDS, EXIT_UNREADABLE, main
from common.receipts.signing import load_public, make_keys
from common.receipts.statement import parse_bundle
from tests.unit.gateway.test_receipts import SIGNER, TOLD


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    """A folder with a receipt, its audio and transcript, and the public keys."""
    (tmp_path / "receipt").write_bytes(msgspec.json.encode(TOLD.bundle))
    (tmp_path / "audio.pcm").write_bytes(TOLD.audio)
    (tmp_path / "text").write_bytes(TOLD.transcript)
    with wave.open(str(tmp_path / "audio.wav"), "wb") as audio:
        audio.setparams((1, 2, 16_000, 0, "NONE", ""))
        audio.writeframes(TOLD.audio)
    from cryptography.hazmat.primitives import serialization

    pem = SIGNER.public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "keys").mkdir()
    make_keys(tmp_path / "keys")  # of a rotation
    (tmp_path / "keys" / "old.pub").write_bytes(pem)
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
