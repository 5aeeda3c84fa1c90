"""verifier.key_files: what is read, what changes, what cannot be used and changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.hmac_keys import HmacKeys
from verifier.key_files import KeyFiles

A, B = ("a" * 32, "b" * 32)


def written(path: Path, text: str) -> Path:
    partial = path.with_suffix(".new")
    partial.write_text(text)
    partial.chmod(0o600)
    return partial.replace(path)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return written(tmp_path / "hmac-keys", f"alice:{A}\n")


def test_both_files_are_read(own: Path, tmp_path: Path) -> None:
    shared = written(tmp_path / "shared", " a secret\n")
    files = KeyFiles(str(shared), str(own))
    assert files.keys == HmacKeys(b"a secret", {"alice": (A.encode(),)})
    assert KeyFiles("", "").keys == HmacKeys()


def test_a_key_is_replaced_while_the_verifier_runs(own: Path) -> None:
    files = KeyFiles("", str(own))
    assert files.look() is None
    written(own, f"alice:{B}\nalice:{A}\n")
    assert files.look() is True
    assert files.keys.of("alice") == (B.encode(), A.encode())
    written(own, f"alice:{B}\n")
    assert files.look() is True
    assert files.keys.of("alice") == (B.encode(),)


@pytest.mark.parametrize("damage", ["gone", "readable", "nonsense", "binary"])
def test_a_file_that_cannot_be_used_is_said_and_the_keys_stay(
    own: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = KeyFiles("", str(own))
    match damage:
        case "gone":
            own.unlink()
        case "readable":
            written(own, f"alice:{B}\n")
            own.chmod(0o644)
        case "nonsense":
            written(own, "alice\n")
        case _:
            own.write_bytes(b"alice:\xff\n")
    with caplog.at_level(logging.ERROR):
        assert files.look() is False
    assert "stay what they were" in caplog.text
    assert files.keys.of("alice") == (A.encode(),)
    assert files.look() is None, "it is said once"


def test_at_the_start_it_is_an_error(own: Path, tmp_path: Path) -> None:
    own.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        KeyFiles("", str(own))
    with pytest.raises(SettingsError, match="cannot read"):
        KeyFiles("", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="is empty"):
        KeyFiles(str(written(tmp_path / "empty", "\n")), "")
