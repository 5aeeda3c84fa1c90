"""common.curve: keys on disk, and real CURVE handshakes between sockets of this process."""

from __future__ import annotations

import secrets
import socket as socket_module
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from common.curve import (
    Role,
    RoleKeys,
    add_host,
    make_keys,
    revoke_host,
)
from common.errors import SettingsError
from common.links import LinkEnd, Links
from common.settings import StageSettings

WAIT_MS = 5_000
REFUSED_MS = 300


def free_port() -> int:
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket_module.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield make_keys(Path(name) / "keys")


class Opened:
    """Links that are closed at the end of a test."""

    def __init__(self) -> None:
        self._links: list[Links] = []

    def open(self, end: LinkEnd, endpoint: str, folder: Path | None) -> zmq.Socket[bytes]:
        settings = StageSettings(
            curve_dir="" if folder is None else str(folder), insecure_tcp=folder is None
        )
        links = Links(settings)
        self._links.append(links)
        return links.open(end, endpoint)


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    for links in reversed(opened._links):
        links.close_all()


# -- on disk --------------------------------------------------------------------------------------


def test_each_role_has_a_pair_of_its_own_and_the_public_keys_of_all(folder: Path) -> None:
    pairs = {role: RoleKeys(folder / role, role).own for role in Role}
    assert len({pair.secret for pair in pairs.values()}) == 3
    for role in Role:
        for other in Role:
            assert RoleKeys(folder, role).admitted(other) == {pairs[other].public}


def test_a_secret_that_others_may_read_is_refused(folder: Path) -> None:
    secret = folder / "verifier" / "own.key_secret"
    secret.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 {secret}"):
        RoleKeys(folder, Role.VERIFIER)


def test_a_folder_without_keys_is_an_error_that_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="deploy/stt-server keys DIR"):
        RoleKeys(tmp_path, Role.GATEWAY)


def test_a_host_of_its_own_is_expected_at_its_endpoint_and_the_role_elsewhere(
    folder: Path,
) -> None:
    shared = RoleKeys(folder, Role.TRANSCRIBER).own.public
    own = RoleKeys(add_host(folder, Role.TRANSCRIBER, "gpu-2"), Role.TRANSCRIBER).own.public
    keys = RoleKeys(folder, Role.VERIFIER)
    assert keys.of_server(Role.TRANSCRIBER, "tcp://gpu-2:5554") == own
    assert keys.of_server(Role.TRANSCRIBER, "tcp://gpu-1:5554") == shared
    assert keys.of_server(Role.TRANSCRIBER, "tcp://[::1]:5554") == shared
    revoke_host(folder, Role.TRANSCRIBER, "transcriber")
    with pytest.raises(SettingsError, match="no public key of a transcriber"):
        keys.of_server(Role.TRANSCRIBER, "tcp://gpu-1:5554")


@pytest.mark.parametrize("host", ["", "../gateway", "a/b", "-x", "x" * 300])
def test_a_name_that_is_none_is_refused(folder: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="no host name"):
        add_host(folder, Role.VERIFIER, host)
    with pytest.raises(SettingsError, match="no host name"):
        revoke_host(folder, Role.VERIFIER, host)


def test_a_host_is_added_once_and_revoked_once(folder: Path) -> None:
    add_host(folder, Role.VERIFIER, "a")
    with pytest.raises(SettingsError, match="exists already"):
        add_host(folder, Role.VERIFIER, "a")
    assert revoke_host(folder, Role.VERIFIER, "a")
    with pytest.raises(SettingsError, match="no verifier key of the name a"):
        revoke_host(folder, Role.VERIFIER, "a")


# -- at the door ----------------------------------------------------------------------------------

PAIRS = [
    (LinkEnd.FRAMES_OUT, LinkEnd.FRAMES_IN),
    (LinkEnd.VERDICTS_IN, LinkEnd.VERDICTS_OUT),
    (LinkEnd.AUDIO_IN, LinkEnd.AUDIO_OUT),
    (LinkEnd.RESULTS_IN, LinkEnd.RESULTS_OUT),
    (LinkEnd.COMMANDS_IN, LinkEnd.COMMANDS_OUT),
]


@pytest.mark.parametrize("bound, connected", PAIRS)
def test_the_table_names_each_link_the_same_from_both_ends(
    bound: LinkEnd, connected: LinkEnd
) -> None:
    assert (bound.role, bound.peer) == (connected.peer, connected.role)
    assert bound.binds
    assert not connected.binds


def test_a_stolen_verifier_key_forges_no_sentence(folder: Path, opened: Opened) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    results = opened.open(LinkEnd.RESULTS_IN, endpoint, folder)
    # The thief knows all public keys, and has a verifier's secret in place of a transcriber's.
    forged = folder.parent / "forged"
    forged.mkdir()
    (forged / "admitted").symlink_to(folder / "verifier" / "admitted")
    (forged / "own.key_secret").write_bytes((folder / "verifier" / "own.key_secret").read_bytes())
    (forged / "own.key_secret").chmod(0o600)
    out = opened.open(LinkEnd.RESULTS_OUT, endpoint, forged)
    assert not out.poll(REFUSED_MS, zmq.POLLOUT)
    out = opened.open(LinkEnd.RESULTS_OUT, endpoint, folder)
    assert out.poll(WAIT_MS, zmq.POLLOUT), "a transcriber's key is admitted"
    out.send(b"a sentence")
    assert results.poll(WAIT_MS)


def test_a_server_that_is_not_the_one_expected_is_told_nothing(
    folder: Path, opened: Opened
) -> None:
    """A verifier's key cannot stand in for a gateway either."""
    other = make_keys(folder.parent / "other")
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    opened.open(LinkEnd.RESULTS_IN, endpoint, other)
    out = opened.open(LinkEnd.RESULTS_OUT, endpoint, folder)
    assert not out.poll(REFUSED_MS, zmq.POLLOUT)


def test_without_keys_nobody_comes_in(folder: Path, opened: Opened) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    opened.open(LinkEnd.RESULTS_IN, endpoint, folder)
    plain = opened.open(LinkEnd.RESULTS_OUT, endpoint, None)
    assert not plain.poll(REFUSED_MS, zmq.POLLOUT)


def test_a_key_is_added_and_revoked_while_the_link_is_up(folder: Path, opened: Opened) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    results = opened.open(LinkEnd.RESULTS_IN, endpoint, folder)
    new = add_host(folder, Role.TRANSCRIBER, "gpu-2")
    out = opened.open(LinkEnd.RESULTS_OUT, endpoint, new)
    assert out.poll(WAIT_MS, zmq.POLLOUT), "admitted without a restart"
    out.send(b"one")
    assert results.poll(WAIT_MS)
    assert results.recv() == b"one"
    revoke_host(folder, Role.TRANSCRIBER, "gpu-2")
    gone_s = time.monotonic() + WAIT_MS / 1000
    while out.poll(0, zmq.POLLOUT):  # IMMEDIATE: not writable once there is no connection
        assert time.monotonic() < gone_s, "its connection is cut"
        time.sleep(0.02)
    assert not out.poll(1_500, zmq.POLLOUT), "and it does not come back"
    old = opened.open(LinkEnd.RESULTS_OUT, endpoint, folder)
    assert old.poll(WAIT_MS, zmq.POLLOUT), "the others' keys still count"
