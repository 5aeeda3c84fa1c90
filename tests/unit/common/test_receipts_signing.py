"""Signatures of receipts, checked by hand and by a library that shares no code with ours."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import msgspec
import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS, eddsa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from common.receipts.signing import (
    PAYLOAD_TYPE,
    KeyFileError,
    KeyKind,
    ReceiptSigner,
    SignatureError,
    load_public,
    make_keys,
    opened,
)
from common.receipts.statement import Envelope, ReceiptError, Signature

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE of the DSSE protocol, version 1, word for word."""
    kind = payload_type.encode()
    return b"DSSEv1 " + b" ".join(
        [str(len(kind)).encode(), kind, str(len(payload)).encode(), payload]
    )


@pytest.mark.parametrize("kind", KeyKind)
def test_another_library_accepts_the_signature(kind: KeyKind, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path, kind)
    envelope = ReceiptSigner.of_file(private).sign(PAYLOAD)
    signed = pre_authentication_encoding(envelope.payload_type, base64.b64decode(envelope.payload))
    signature = base64.b64decode(envelope.signatures[0].sig)
    key = ECC.import_key(public.read_text())
    if kind is KeyKind.ED25519:
        eddsa.new(key, "rfc8032").verify(signed, signature)
    else:
        DSS.new(key, "fips-186-3", "der").verify(SHA256.new(signed), signature)
    der = key.export_key(format="DER")
    assert envelope.signatures[0].keyid == hashlib.sha256(der).hexdigest()


def test_a_key_pair_is_written_for_the_server_alone_and_for_everybody(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "new" / "folder")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    signer = ReceiptSigner.of_file(private)
    assert set(load_public(public)) == {signer.key_id}
    assert signer.key_id[:12] in private.name
    assert signer.key_id[:12] in public.name


def test_after_a_rotation_old_receipts_are_checked_with_old_keys(tmp_path: Path) -> None:
    old, new = (ReceiptSigner.of_file(make_keys(tmp_path)[0]) for _ in range(2))
    keys = load_public(tmp_path)
    assert set(keys) == {old.key_id, new.key_id}
    for signer in (old, new):
        assert opened(signer.sign(PAYLOAD), keys) == (PAYLOAD, signer.key_id)
    with pytest.raises(SignatureError, match=f"signed by {old.key_id}, none of which"):
        opened(old.sign(PAYLOAD), {new.key_id: keys[new.key_id]})


def test_one_file_may_hold_several_public_keys(tmp_path: Path) -> None:
    pairs = [make_keys(tmp_path, kind) for kind in KeyKind]
    together = tmp_path / "all.pem"
    together.write_bytes(b"".join(public.read_bytes() for _, public in pairs))
    assert len(load_public(together)) == 2


_SIGNER = ReceiptSigner(ec.generate_private_key(ec.SECP256R1()))
_SIGNED = _SIGNER.sign(PAYLOAD)


@settings(deadline=None)
@given(bit=st.integers(0, 100_000))
def test_a_flipped_bit_in_signature_or_payload_is_found(bit: int) -> None:
    keys = {_SIGNER.key_id: _SIGNER.public}

    def flipped(text: str) -> str:
        raw = bytearray(base64.b64decode(text))
        raw[bit // 8 % len(raw)] ^= 1 << bit % 8
        return base64.b64encode(raw).decode()

    (one,) = _SIGNED.signatures
    for changed in (
        msgspec.structs.replace(_SIGNED, payload=flipped(_SIGNED.payload)),
        msgspec.structs.replace(_SIGNED, signatures=[Signature(one.keyid, flipped(one.sig))]),
    ):
        with pytest.raises(SignatureError, match="is wrong"):
            opened(changed, keys)


def test_what_is_no_envelope_of_a_statement_is_refused() -> None:
    keys = {_SIGNER.key_id: _SIGNER.public}
    with pytest.raises(ReceiptError, match="expected 'application/"):
        opened(Envelope("", "text/plain", []), keys)
    with pytest.raises(SignatureError, match="signed by nobody"):
        opened(Envelope("", PAYLOAD_TYPE, []), keys)
    with pytest.raises(ReceiptError, match="base64"):
        opened(Envelope("!", PAYLOAD_TYPE, []), keys)


def test_a_file_that_is_no_such_key_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "rsa.key"
    key = rsa.generate_private_key(65537, 2048)
    other.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = tmp_path / "rsa.pub"
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for path, match in ((other, "neither"), (nonsense, "PEM"), (tmp_path / "none", "cannot read")):
        with pytest.raises(KeyFileError, match=match):
            ReceiptSigner.of_file(path)
    for path, match in ((public, "neither"), (nonsense, "no public key"), (tmp_path, "neither")):
        with pytest.raises(KeyFileError, match=match):
            load_public(path)
