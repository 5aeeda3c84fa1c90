"""common.tls: handshakes in memory, between a server's context and a client's."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.tls import ServerTls, client_context, make_certificate, names_of

NAMES = ["localhost", "127.0.0.1", "::1"]


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> bytes:
    """Shake hands without a socket; the certificate that the client was shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for end in (theirs, ours):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = theirs.getpeercert(binary_form=True)
    assert certificate
    return certificate


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path / "tls", NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_certificate_comes_in_by_each_of_its_names(
    made: tuple[Path, Path], name: str
) -> None:
    certificate, key = made
    server = ServerTls(str(certificate), str(key))
    assert handshake(server.context, client_context(str(certificate)), name)
    assert server.names == NAMES


def test_a_client_that_trusts_others_does_not(made: tuple[Path, Path], tmp_path: Path) -> None:
    server = ServerTls(*map(str, made))
    other, _ = make_certificate(tmp_path / "other", NAMES)
    for client in (client_context(str(other)), client_context()):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(server.context, client)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server.context, client_context(str(made[0])), "other.example")


def test_older_tls_than_1_2_is_refused(made: tuple[Path, Path]) -> None:
    server = ServerTls(*map(str, made))
    client = client_context(str(made[0]))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(server.context, client)
    assert server.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_new_certificate_is_taken_up_by_the_context_in_use(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    server = ServerTls(*map(str, made))
    before = handshake(server.context, client_context(str(made[0])))
    assert server.take_up_changes() is None
    for old, new in zip(made, make_certificate(tmp_path / "new", NAMES), strict=True):
        new.replace(old)
    assert server.take_up_changes()
    assert handshake(server.context, client_context(str(made[0]))) != before


@pytest.mark.parametrize("broken", [0, 1])
def test_half_a_pair_is_not_taken_up_and_the_one_before_serves_on(
    made: tuple[Path, Path], broken: int
) -> None:
    server = ServerTls(*map(str, made))
    client = client_context(str(made[0]))
    made[broken].write_text("-----BEGIN")
    assert server.take_up_changes() is False
    assert server.take_up_changes() is None, "and that is said once"
    assert handshake(server.context, client)


def test_a_pair_that_cannot_be_used_is_an_error_that_says_why(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = made
    _, other = make_certificate(tmp_path / "other", NAMES)
    with pytest.raises(SettingsError, match="KEY_VALUES_MISMATCH"):
        ServerTls(str(certificate), str(other))
    with pytest.raises(SettingsError, match="cannot use the certificate"):
        ServerTls(str(tmp_path / "none"), str(key))
    with pytest.raises(SettingsError, match="cannot read"):
        ServerTls(str(certificate), str(tmp_path / "none"))
    key.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 {key}"):
        ServerTls(str(certificate), str(key))


def test_a_certificate_is_never_written_over(made: tuple[Path, Path]) -> None:
    before = made[1].read_bytes()
    assert made[1].stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make_certificate(made[0].parent, NAMES)
    assert made[1].read_bytes() == before


def test_authorities_that_cannot_be_read_are_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none"):
        client_context(str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r".+"):
        names_of(b"nothing")
