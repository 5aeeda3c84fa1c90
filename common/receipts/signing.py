"""Signs receipts and checks their signatures: DSSE envelopes, Ed25519 or ECDSA on P-256.

The id of a key is the SHA-256 of its public half in DER (``openssl pkey -pubin -outform DER |
sha256sum``), in hexadecimal, and stands in each envelope: after a rotation, whoever keeps the old
public keys can still check old receipts.
"""

from __future__ import annotations

import base64
import enum
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from .statement import Envelope, ReceiptError, Signature, from_base64

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PRIVATE_MODE: Final = 0o600

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


class KeyKind(enum.StrEnum):
    """What receipts may be signed with."""

    ED25519 = "ed25519"
    P256 = "p256"


class KeyFileError(ValueError):
    """A key file cannot be used; the message says which and why."""


class SignatureError(ReceiptError):
    """No signature of an envelope is by a key that is known, or one that claims to be is not."""


class ReceiptSigner:
    """Signs with one private key.

    Attributes:
        key_id: of its public half.
    """

    def __init__(self, key: PrivateKey) -> None:
        self.public = key.public_key()
        self.key_id = key_id(self.public)
        self._signer = CryptoSigner(key, _for_dsse(self.public))

    @classmethod
    def of_file(cls, path: str | Path) -> ReceiptSigner:
        """The signer with the private key in a PEM file.

        Raises:
            KeyFileError: it cannot be read, or is not such a key.
        """
        raw = _read(path)
        try:
            key = serialization.load_pem_private_key(raw, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{path} is not a private key in PEM: {error}") from None
        if not _is_private(key):
            raise KeyFileError(f"{path} is neither an Ed25519 key nor one on P-256")
        return cls(key)

    def sign(self, payload: bytes) -> Envelope:
        """An envelope around a statement's JSON."""
        envelope = dsse.Envelope(payload, PAYLOAD_TYPE, {})
        signature = envelope.sign(self._signer)
        return Envelope(
            _base64(payload),
            PAYLOAD_TYPE,
            [Signature(signature.keyid, _base64(bytes.fromhex(signature.signature)))],
        )


def _is_private(key: object) -> TypeGuard[PrivateKey]:
    return isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    )


def _is_public(key: object) -> TypeGuard[PublicKey]:
    return isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    )


def key_id(key: PublicKey) -> str:
    """The id by which envelopes name a key."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _for_dsse(key: PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(key, keyid=key_id(key))


def load_public(path: str | Path) -> dict[str, PublicKey]:
    """The public keys in a PEM file (which may hold several), or in all ``*.pub`` of a folder.

    Returns:
        Keys by their id.

    Raises:
        KeyFileError: there are none, or a file cannot be used.
    """
    path = Path(path)
    files = sorted(path.glob("*.pub")) if path.is_dir() else [path]
    found: dict[str, PublicKey] = {}
    for file in files:
        end = b"-----END PUBLIC KEY-----"
        *blocks, _ = _read(file).split(end)
        for block in blocks:
            try:
                key = serialization.load_pem_public_key(block.strip() + b"\n" + end + b"\n")
            except (ValueError, UnsupportedAlgorithm) as error:
                raise KeyFileError(f"{file} is not a public key in PEM: {error}") from None
            if not _is_public(key):
                raise KeyFileError(f"{file} is neither an Ed25519 key nor one on P-256")
            found[key_id(key)] = key
    if not found:
        raise KeyFileError(f"no public key in {path}")
    return found


def opened(envelope: Envelope, keys: Mapping[str, PublicKey]) -> tuple[bytes, str]:
    """The payload of an envelope that one of the keys has signed, and that key's id.

    Raises:
        SignatureError: none has; the message says whether the key is unknown or the signature
            wrong.
        ReceiptError: it is not an envelope of a statement.
    """
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ReceiptError(f"an envelope of {envelope.payload_type!r}, expected {PAYLOAD_TYPE!r}")
    payload = from_base64(envelope.payload)
    claimed = [one.keyid for one in envelope.signatures]
    for one in envelope.signatures:
        key = keys.get(one.keyid)
        if key is None:
            continue
        single = dsse.Envelope.from_dict(
            {
                "payload": _base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": one.keyid, "sig": _base64(from_base64(one.sig))}],
            }
        )
        try:
            single.verify([_for_dsse(key)], 1)
        except VerificationError:
            raise SignatureError(f"the signature by key {one.keyid} is wrong") from None
        return payload, one.keyid
    raise SignatureError(
        f"signed by {', '.join(claimed) or 'nobody'}, none of which is a key that was given"
    )


def make_keys(folder: Path, kind: KeyKind = KeyKind.ED25519) -> tuple[Path, Path]:
    """Write a new key pair: ``receipts-ID.key``, for the server alone, and ``receipts-ID.pub``.

    Returns:
        Paths of the private and of the public key.
    """
    key: PrivateKey
    if kind is KeyKind.ED25519:
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    name = f"receipts-{key_id(key.public_key())[:12]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    private.touch(PRIVATE_MODE)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
