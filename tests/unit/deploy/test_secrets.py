"""deploy.secrets: what is made, for whom it can be read, and what is never written over."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from common.api_keys import read_keys
from common.curve import Role, RoleKeys
from common.errors import SettingsError
from common.hmac_keys import read_own
from common.receipts.signing import load_public
from common.tls import ServerTls
from deploy.secrets import certificate, key, keys


def test_an_api_key_is_shown_once_and_its_hash_is_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "api-keys"
    for name in ("alice", "bob"):
        assert key([name, "--file", str(path)]) == 0
    shown = re.findall(r"stt_\S+", capsys.readouterr().out)
    text = path.read_text()
    assert not any(one in text for one in shown)
    ring = read_keys(text, "")
    assert [found.name for one in shown if (found := ring.find(one))] == ["alice", "bob"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_is_added_to_a_file_that_a_person_wrote(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    path.write_text("# our keys")
    path.chmod(0o600)
    key(["alice", "--file", str(path)])
    assert path.read_text().startswith("# our keys\nalice:")
    with pytest.raises(SettingsError, match="a key of alice already"):
        key(["alice", "--file", str(path)])


def test_an_hmac_key_is_replaced_in_two_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hmac-keys"
    for _ in range(2):
        assert key(["alice", "--hmac", str(path)]) == 0
    old, new = re.findall(r"stth_\S+", capsys.readouterr().out)
    assert read_own(path.read_text(), "")["alice"] == (new.encode(), old.encode())
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="more than twice"):
        key(["alice", "--hmac", str(path)])
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        key(["bob", "--hmac", str(path)])


def test_without_a_file_the_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    key(["alice"])
    assert re.search(r"line for --api-keys: alice:[0-9a-f]{64}$", capsys.readouterr().out.strip())


@pytest.mark.parametrize("argv", [["a b"], ["alice", "--file", "/proc/none/keys"]])
def test_what_cannot_be_done_is_an_error(argv: list[str]) -> None:
    with pytest.raises(SettingsError):
        key(argv)


def test_a_certificate_is_for_the_names_of_this_machine_or_those_that_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certificate([str(tmp_path / "a")]) == 0
    assert "--tls-cert" in capsys.readouterr().out
    own = ServerTls(str(tmp_path / "a/certificate.pem"), str(tmp_path / "a/key.pem")).names
    assert {"localhost", "127.0.0.1"} <= set(own)
    certificate([str(tmp_path / "b"), "stt.example"])
    given = ServerTls(str(tmp_path / "b/certificate.pem"), str(tmp_path / "b/key.pem")).names
    assert given == ["stt.example"]
    with pytest.raises(SettingsError, match="already"):
        certificate([str(tmp_path / "b")])


def test_keys_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert keys([str(folder)]) == 0
    for role in Role:
        assert RoleKeys(folder, role).own.secret
        assert (folder / role / "own.key_secret").stat().st_mode & 0o777 == 0o600


def test_keys_for_receipts_are_made_beside_those_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys(["--receipts", str(tmp_path)]) == 0
    assert keys(["--receipts", "--kind", "p256", str(tmp_path)]) == 0
    assert len(load_public(tmp_path)) == 2
    private = [path for path in tmp_path.iterdir() if path.suffix == ".key"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)
    assert "start the server with --receipts" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="no keys of kind 'rsa'; there are ed25519, p256"):
        keys(["--receipts", "--kind", "rsa", str(tmp_path)])


def test_keys_in_use_are_never_overwritten(tmp_path: Path) -> None:
    keys([str(tmp_path)])
    before = (tmp_path / "verifier" / "own.key_secret").read_bytes()
    with pytest.raises(SettingsError, match="holds keys already"):
        keys([str(tmp_path)])
    assert (tmp_path / "verifier" / "own.key_secret").read_bytes() == before


def test_one_hosts_keys_are_added_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys([str(tmp_path)])
    assert keys([str(tmp_path), "--add", "verifier", "host-7"]) == 0
    own = RoleKeys(tmp_path / "verifier@host-7", Role.VERIFIER).own.public
    assert own in RoleKeys(tmp_path, Role.GATEWAY).admitted(Role.VERIFIER)
    assert keys([str(tmp_path), "--revoke", "verifier", "host-7"]) == 0
    assert "running stages cut that key off" in capsys.readouterr().out
    assert own not in RoleKeys(tmp_path, Role.GATEWAY).admitted(Role.VERIFIER)
    with pytest.raises(SettingsError, match="no role 'cook'"):
        keys([str(tmp_path), "--add", "cook", "host-7"])


def test_keys_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot write keys"):
        keys([str(tmp_path / "file")])
