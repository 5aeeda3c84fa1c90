"""What stt-verify says of receipts that are not as they should be.

That every change is found is shown in tests/unit/gateway/test_receipts.py, on a gateway's own.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from common.receipts.checking import examine
from common.receipts.signing import ReceiptSigner
from common.receipts.statement import Bundle, ReceiptError

SIGNER = ReceiptSigner(ed25519.Ed25519PrivateKey.generate())


def test_without_a_signature_by_a_known_key_nothing_else_is_looked_at() -> None:
    (finding,) = examine(Bundle(SIGNER.sign(b"not even a statement")), {})
    assert not finding.holds
    assert f"signed by {SIGNER.key_id}, none of which is a key that was given" in finding.text


def test_a_signed_text_that_is_no_receipt_cannot_be_examined() -> None:
    with pytest.raises(ReceiptError, match="not a receipt's statement"):
        examine(Bundle(SIGNER.sign(b"{}")), {SIGNER.key_id: SIGNER.public})
