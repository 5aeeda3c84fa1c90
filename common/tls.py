"""TLS of the ports that clients reach: a server's context, and a certificate for trying.

A context takes a certificate up while it is in use: connections that are open keep the one that
they began with, later ones get the new one.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import logging
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import SettingsError
from common.secret_files import Stamp, refuse_if_readable_by_others, write_secret

log = logging.getLogger(__name__)

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
DAYS: Final = 397
"""The longest that browsers take."""


class ServerTls:
    """The TLS context of a server.

    Args:
        certificate: PEM, with what leads to the root after it.
        key: PEM, without a password.

    Raises:
        SettingsError: a file cannot be used; the message says which and why.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._certificate, self._key = Path(certificate), Path(key)
        self._stamp = Stamp(self._certificate, self._key)
        self.context = self._load(_new_context())

    def take_up_changes(self) -> bool | None:
        """Read the files again if they changed: True when they are taken up, None when not.

        A pair that cannot be used (half of it written, say) is logged, and the one before stays.
        """
        if not self._stamp.changed():
            return None
        try:
            self._load(_new_context())  # so that nothing half is left in the one in use
            self._load(self.context)
        except SettingsError as error:
            log.error("the TLS certificate stays what it was: %s", error)
            return False
        log.info("the TLS certificate was read again: %s", self._certificate)
        return True

    @property
    def names(self) -> list[str]:
        """The names and addresses that the certificate is for."""
        with contextlib.suppress(OSError, ValueError):
            return names_of(self._certificate.read_bytes())
        return []

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        refuse_if_readable_by_others(self._key)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise SettingsError(
                f"cannot use the certificate {self._certificate} with the key {self._key}: "
                f"{getattr(error, 'reason', None) or error}"
            ) from None
        return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """OpenSSL would ask the terminal for one."""
    raise ValueError("the key is encrypted")


def client_context(authorities: str = "") -> ssl.SSLContext:
    """A client's: trusts the certificates in a PEM file, or the system's.

    Raises:
        ValueError: the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=authorities or None)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot use the certificates in {authorities}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def names_of(pem: bytes) -> list[str]:
    """Names and addresses of a PEM certificate, wild cards left out.

    Raises:
        ValueError: it is none.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return [name for name in (*found, *map(str, addresses)) if "*" not in name]


def make_certificate(folder: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """Write a certificate that signs itself and its key, for trying; their paths.

    Clients must be told to trust it (``--ca CERTIFICATE``, or the browser's question).

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / CERTIFICATE, folder / KEY
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_secret(paths[1], secret)
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return paths


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    result: list[x509.GeneralName] = []
    for name in names:
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result
