"""Signs what sessions say at their end, and when their client asks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

from common.build import version
from common.errors import SettingsError
from common.events import Error, Receipt, ServerEvent
from common.receipts.signing import KeyFileError, ReceiptSigner
from common.secret_files import refuse_if_readable_by_others
from gateway.session import Session

RECEIPT_INTERVAL_S: Final = 1.0
"""A client gets no more than one receipt in so many seconds, but for the last one."""
TOO_SOON: Final = Error(
    "too_soon", f"a receipt is given once in {RECEIPT_INTERVAL_S:g} s at most", "continue"
)
NO_RECEIPT: Final = Error(
    "no_receipt",
    "ask for receipts with events=integrity&receipt=1, of a server that signs them",
    "continue",
)


class Notary:
    """Holds the key that receipts are signed with.

    Attributes:
        key_id: by which receipts name it.
    """

    def __init__(self, signer: ReceiptSigner) -> None:
        self.key_id = signer.key_id
        self._signer = signer
        self._version = version()

    @classmethod
    def of_file(cls, path: str) -> Notary:
        """The notary with the private key in a file.

        Raises:
            SettingsError: it cannot be used.
        """
        try:
            signer = ReceiptSigner.of_file(path)
        except KeyFileError as error:
            raise SettingsError(f"--receipts: {error}") from None
        refuse_if_readable_by_others(Path(path))
        return cls(signer)

    def receipt(self, session: Session, *, final: bool) -> list[ServerEvent]:
        """The receipt of a session, and what its client needs to prove parts of it.

        Nothing for a session that is not to have one.
        """
        signed = session.to_sign(time.time_ns(), version=self._version, final=final)
        if signed is None:
            return []
        envelope = self._signer.sign(msgspec.json.encode(signed.statement))
        events: list[ServerEvent] = [] if signed.records is None else [signed.records]
        return [*events, Receipt(final, envelope)]
