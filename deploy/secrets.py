"""The subcommands of ``stt-server`` that make secrets: ``keys``, ``certificate``, ``key``."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from pathlib import Path

import psutil

from common import curve, hmac_keys
from common.api_keys import line_of, new_key, read_keys
from common.errors import SettingsError
from common.own_names import names_of_this_machine
from common.receipts import signing
from common.secret_files import (
    refuse_if_readable_by_others,
    refuse_if_writable_by_others,
    write_secret,
)
from common.tls import make_certificate


def certificate(argv: Sequence[str]) -> int:
    """``stt-server certificate DIR [NAME ...]``."""
    parser = argparse.ArgumentParser(
        prog="stt-server certificate",
        description="Makes a certificate that signs itself, for trying TLS: clients must be told "
        "to trust it.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="names and addresses [those of this machine]"
    )
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    try:
        path, key = make_certificate(folder, arguments.names or own_names())
    except FileExistsError:
        raise SettingsError(f"{folder} holds a certificate's key already") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot write a certificate to {folder}: {error}") from None
    print(f"start the server with: --tls-cert {path} --tls-key {key}")
    print(f"and clients with what trusts it: stt-stream --ca {path} --url wss://HOST:8012 …")
    return 0


def own_names() -> list[str]:
    """The names and addresses of this machine."""
    names = ["localhost", *names_of_this_machine()]
    families = (socket.AF_INET, socket.AF_INET6)
    for addresses in psutil.net_if_addrs().values():
        names += [one.address for one in addresses if one.family in families]
    plain = (name for name in names if "%" not in name and "_" not in name)
    return list(dict.fromkeys(plain))


def key(argv: Sequence[str]) -> int:
    """``stt-server key NAME``."""
    parser = argparse.ArgumentParser(
        prog="stt-server key",
        description="Makes an API key, and shows it this once; the server's file has its hash.",
    )
    parser.add_argument("name", metavar="NAME", help="whose it is")
    parser.add_argument(
        "--file", type=Path, help="append the line to this file (of --api-keys) [print it]"
    )
    parser.add_argument(
        "--hmac",
        type=Path,
        metavar="FILE",
        help="instead make a key of hmac-sha256 for the API key of that name, and put its line "
        "first into this file (of the verifiers' --hmac-keys): one that is there holds on until "
        "its line is removed",
    )
    arguments = parser.parse_args(argv)
    if arguments.hmac:
        return _hmac_key(arguments.hmac, arguments.name)
    text = new_key()
    line = line_of(arguments.name, text)
    if arguments.file:
        _append(arguments.file, arguments.name, line)
    print(f"key of {arguments.name}, shown this once: {text}")
    print(f"written to {arguments.file}" if arguments.file else f"line for --api-keys: {line}")
    return 0


def _hmac_key(path: Path, name: str) -> int:
    """Make an HMAC key, or the one that follows it."""
    text, line = hmac_keys.new_line(name)
    before = ""
    if path.exists():
        refuse_if_readable_by_others(path)
        before = _read(path).decode(errors="replace")
    after = f"{line}\n{before}"
    hmac_keys.read_own(after, str(path))
    partial = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        write_secret(partial, after.encode())
        partial.replace(path)
    except OSError as error:
        raise SettingsError(f"cannot write to {path}: {error}") from None
    print(f"HMAC key of {name}, shown this once (for stt-stream --key-file): {text}")
    print(f"written to {path}; start the server with: --hmac-keys {path}")
    return 0


def _append(path: Path, name: str, line: str) -> None:
    """Add a line to a file of keys, which is made if there is none."""
    if path.exists():
        refuse_if_writable_by_others(path)
        text = _read(path).decode(errors="replace")
        if name in read_keys(text, str(path)).keys:
            raise SettingsError(f"{path} has a key of {name} already; remove its line first")
        if text and not text.endswith("\n"):
            line = f"\n{line}"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_secret(path, b"")
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise SettingsError(f"cannot write to {path}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None


def keys(argv: Sequence[str]) -> int:
    """``stt-server keys DIR``, and with ``--add`` or ``--revoke`` one host's."""
    parser = argparse.ArgumentParser(
        prog="stt-server keys",
        description="Makes the CURVE key pairs of a system whose links are tcp://, one for each "
        "role; adds or revokes a pair of one host's own; or makes a pair that signs receipts.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--receipts",
        action="store_true",
        help="make a key pair that signs receipts; those that are there stay, so that old "
        "receipts can be checked",
    )
    parser.add_argument("--kind", default="ed25519", help="with --receipts: ed25519 or p256")
    roles = ", ".join(curve.Role)
    for flag, what in (("--add", "make a pair for one host"), ("--revoke", "admit it no more")):
        one.add_argument(
            flag, nargs=2, metavar=("ROLE", "HOST"), help=f"{what} of a role ({roles})"
        )
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    try:
        if arguments.receipts:
            _make_receipt_keys(folder, arguments.kind)
        elif arguments.add:
            new = curve.add_host(folder, _role(arguments.add[0]), arguments.add[1])
            print(
                f"keys written; copy {new} to that host, and admitted/ of the other folders in "
                f"{folder} to the hosts that have them: running stages take it up"
            )
        elif arguments.revoke:
            for path in curve.revoke_host(folder, _role(arguments.revoke[0]), arguments.revoke[1]):
                print(f"removed {path}")
            print("remove them likewise on each host: running stages cut that key off")
        else:
            _make_keys(folder)
    except OSError as error:
        raise SettingsError(f"cannot write keys to {folder}: {error}") from None
    return 0


def _make_receipt_keys(folder: Path, kind: str) -> None:
    try:
        chosen = signing.KeyKind(kind)
    except ValueError:
        kinds = ", ".join(signing.KeyKind)
        raise SettingsError(f"no keys of kind {kind!r}; there are {kinds}") from None
    private, public = signing.make_keys(folder, chosen)
    print(
        f"start the server with --receipts {private}; give {public} to whoever is to check its "
        f"receipts: stt-verify --key {public} RECEIPT"
    )


def _role(text: str) -> curve.Role:
    try:
        return curve.Role(text)
    except ValueError:
        raise SettingsError(f"no role {text!r}; there are {', '.join(curve.Role)}") from None


def _make_keys(folder: Path) -> None:
    if curve.holds_keys(folder):
        raise SettingsError(f"{folder} holds keys already; a running system may be using them")
    curve.make_keys(folder)
    roles = ", ".join(str(folder / role) for role in curve.Role)
    print(
        f"keys written: {roles}; copy each to the hosts of its role and start their stages with "
        "--curve-dir"
    )
