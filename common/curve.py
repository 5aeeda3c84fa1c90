"""CURVE on tcp links: a key pair for each role, who is admitted to which link, and revocation.

The folder of one host's stage, which is all that this host needs::

    own.key_secret               its own pair, readable by its user alone
    admitted/gateway/*.key       public keys by role, a file for each host with a pair of its own;
    admitted/verifier/*.key      the other hosts of a role share the pair in the file of the role's
    admitted/transcriber/*.key   name

Folders are read at every handshake, so that a key that is added is admitted at once. A key that is
taken away is cut off within :data:`LOOK_S`: ZeroMQ asks about a key only once for each connection.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import re
import shutil
import socket as socket_module
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import psutil
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from common.errors import SettingsError
from common.logs import LogBudget
from common.secret_files import refuse_if_readable_by_others

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often the admitted keys are looked at for one that is gone."""
MAX_KEYS: Final = 4_096
"""Keys of one role; files beyond them are not read."""
OWN: Final = "own"
ADMITTED: Final = "admitted"
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", re.A)


class Role(enum.StrEnum):
    """What a process is at the ends of links."""

    GATEWAY = "gateway"
    VERIFIER = "verifier"
    TRANSCRIBER = "transcriber"


class KeyPair(NamedTuple):
    """One CURVE key pair, in Z85."""

    public: bytes
    secret: bytes


# -- folders --------------------------------------------------------------------------------------


def make_keys(folder: Path) -> Path:
    """Make a system's keys: in ``folder``, one folder for each role; returns ``folder``.

    Raises:
        OSError: they cannot be written.
    """
    publics = {role: _new_pair(folder / role) for role in Role}
    for role in Role:
        for other, public in publics.items():
            _admit(folder / role, other, other, public)
    return folder


def add_host(folder: Path, role: Role, host: str) -> Path:
    """Make a key pair for one more host of a role and admit it; its folder.

    Raises:
        SettingsError: the name cannot be one, is taken, or there are no keys in ``folder``.
    """
    _check_host(host)
    new = folder / f"{role}@{host}"
    if new.exists():
        raise SettingsError(f"{new} exists already")
    if not (folder / role / ADMITTED).is_dir():
        raise SettingsError(f"{folder} holds no keys; make them with: stt-server keys {folder}")
    public = _new_pair(new)
    shutil.copytree(folder / role / ADMITTED, new / ADMITTED)
    for each in _folders(folder):
        _admit(each, role, host, public)
    return new


def revoke_host(folder: Path, role: Role, host: str) -> list[Path]:
    """Admit a host's key (or with the role's own name, the shared one) no longer; files removed.

    Raises:
        SettingsError: no folder in ``folder`` admits it.
    """
    _check_host(host)
    files = [each / ADMITTED / role / f"{host}.key" for each in _folders(folder)]
    gone = [path for path in files if path.exists()]
    if not gone:
        raise SettingsError(f"no {role} key of the name {host} is admitted in {folder}")
    for path in gone:
        path.unlink()
    return gone


def holds_keys(folder: Path) -> bool:
    """Whether a folder holds the keys of a system."""
    return any((folder / role / f"{OWN}.key_secret").exists() for role in Role)


def _check_host(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise SettingsError(f"{host!r} is no host name")


def _folders(folder: Path) -> list[Path]:
    """The folders of all hosts."""
    return [path for path in sorted(folder.iterdir()) if (path / ADMITTED).is_dir()]


def _new_pair(folder: Path) -> Path:
    """Make one pair; the file of its public key."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    public, secret = zmq.auth.create_certificates(folder, OWN)
    Path(secret).chmod(0o600)
    return Path(public)


def _admit(folder: Path, role: str, host: str, public: Path) -> None:
    target = folder / ADMITTED / role / f"{host}.key"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".new")  # a stage may be looking
    shutil.copyfile(public, partial)
    partial.replace(target)


class RoleKeys:
    """One process's own pair, and the keys that it admits and expects.

    Args:
        folder: of this role, or one with a folder for each.

    Raises:
        SettingsError: there is no pair, or others may read its secret.
    """

    def __init__(self, folder: Path, role: Role) -> None:
        self.folder = folder / role if (folder / role).is_dir() else folder
        self.own = _load_own(self.folder, role)

    def admitted(self, role: Role) -> frozenset[bytes]:
        """The public keys of a role, as they are now; none while they cannot be read."""
        keys = set()
        with contextlib.suppress(OSError):
            for path in sorted((self.folder / ADMITTED / role).glob("*.key"))[:MAX_KEYS]:
                with contextlib.suppress(OSError, ValueError):
                    keys.add(zmq.auth.load_certificate(path)[0])
        return frozenset(keys)

    def of_server(self, role: Role, endpoint: str) -> bytes:
        """The public key to expect at an endpoint: that of its host, else the role's.

        Raises:
            SettingsError: there is neither.
        """
        host = urlsplit(endpoint).hostname or ""
        folder = self.folder / ADMITTED / role
        names = [host] if _HOST.fullmatch(host) else []
        for name in [*names, str(role)]:
            with contextlib.suppress(OSError, ValueError):
                return zmq.auth.load_certificate(folder / f"{name}.key")[0]
        raise SettingsError(f"no public key of a {role} for {endpoint} in {folder}")


def _load_own(folder: Path, role: Role) -> KeyPair:
    path = folder / f"{OWN}.key_secret"
    if not path.exists():
        raise SettingsError(
            f"no CURVE key pair of a {role} at {path} (made with: deploy/stt-server keys DIR)"
        )
    refuse_if_readable_by_others(path)
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the CURVE key pair at {path}: {error}") from None
    if secret is None:
        raise SettingsError(f"{path} holds no secret key")
    return KeyPair(public, secret)


# -- the door -------------------------------------------------------------------------------------


class Door(ThreadAuthenticator):
    """Answers ZeroMQ's question who is admitted (ZAP), and cuts off those who are no longer.

    A link's ``zap_domain`` is the role that belongs at its other end.
    """

    def __init__(self, context: zmq.Context[Any], keys: RoleKeys) -> None:
        super().__init__(context)
        self._keys = keys
        self._address = ""
        self._inside: dict[tuple[Role, bytes], set[str]] = {}
        self._ports: dict[Role, set[int]] = {role: set() for role in Role}
        self._budget = LogBudget(5, 0.2)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        for role in Role:
            self.configure_curve_callback(domain=role, credentials_provider=self)
        self._watch = threading.Thread(target=self._look, name="revoked keys", daemon=True)

    def start(self) -> None:
        """Begin to answer and to look."""
        super().start()
        self._watch.start()

    def stop(self) -> None:
        """Stop both."""
        self._closing.set()
        super().stop()

    def guards(self, role: Role, port: int) -> None:
        """A port of this process is for a role."""
        with self._lock:
            self._ports[role].add(port)

    async def handle_zap_message(self, msg: list[bytes]) -> None:
        """One question; the callback is not told from which address it comes."""
        self._address = msg[3].decode(errors="replace") if len(msg) > 3 else ""
        await super().handle_zap_message(msg)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a key is admitted as the role ``domain``."""
        role = Role(domain)
        if key in self._keys.admitted(role):
            with self._lock:
                self._inside.setdefault((role, key), set()).add(self._address)
            return True
        if self._budget.allow(time.monotonic()):
            log.warning("refused a key from %s: it is not admitted as a %s", self._address, role)
        return False

    def _look(self) -> None:
        while not self._closing.wait(LOOK_S):
            try:
                self.cut_revoked()
            except Exception:
                log.exception("looking for revoked keys failed")

    def cut_revoked(self) -> None:
        """Cut the connections of keys that are admitted no more.

        All of the role's connections from such a key's addresses are cut, since the kernel does not
        know keys; those that are admitted come back at once.
        """
        with self._lock:
            inside = dict(self._inside)
        for role in {role for role, _ in inside}:
            admitted = self._keys.admitted(role)
            for key in [key for of, key in inside if of is role and key not in admitted]:
                with self._lock:
                    addresses = self._inside.pop((role, key), set())
                    ports = set(self._ports[role])
                cut = cut_connections(ports, addresses)
                log.warning(
                    "a %s key was revoked: cut %d connections from %s",
                    role,
                    cut,
                    ", ".join(sorted(addresses)),
                )


def cut_connections(ports: Iterable[int], addresses: Iterable[str]) -> int:
    """Shut this process's accepted connections on ``ports`` from ``addresses``; how many."""
    own, theirs, cut = set(ports), set(addresses), 0
    for connection in psutil.Process().net_connections("tcp"):
        far = connection.raddr
        if connection.status != psutil.CONN_ESTABLISHED:
            continue  # one that only listens has no far end
        if connection.laddr.port not in own or far.ip not in theirs:
            continue
        with contextlib.suppress(OSError):  # it may have ended, and its number be another file's
            descriptor = os.dup(connection.fd)
            with socket_module.socket(fileno=descriptor) as duplicate:
                if duplicate.getpeername()[:2] == tuple(far):
                    duplicate.shutdown(socket_module.SHUT_RDWR)
                    cut += 1
    return cut
