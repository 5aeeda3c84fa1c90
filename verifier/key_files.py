"""The files of ``hmac-sha256`` keys, read again when they change."""

from __future__ import annotations

import logging
from pathlib import Path

from common.errors import SettingsError
from common.hmac_keys import HmacKeys, read_own
from common.secret_files import OTHERS, Stamp, read_checked

log = logging.getLogger(__name__)


class KeyFiles:
    """The keys of a verifier.

    Args:
        shared: file whose content, without surrounding white space, is the key of all clients that
            have none of their own; "" for none.
        own: file of API keys' own, as in :mod:`common.hmac_keys`; "" for none.

    Raises:
        SettingsError: a file cannot be read, holds nothing or can be read by others.

    Attributes:
        keys: replaced as a whole.
    """

    def __init__(self, shared: str, own: str) -> None:
        self._shared, self._own = shared, own
        self._stamp = Stamp(*(Path(path) for path in (shared, own) if path))
        self.keys = self._read()

    def look(self) -> bool | None:
        """Take up what changed: True when it was, None when nothing did.

        Files that cannot be used are logged, and the keys stay what they were.
        """
        if not self._stamp.changed():
            return None
        try:
            self.keys = self._read()
        except SettingsError as error:
            log.error("the keys of hmac-sha256 stay what they were: %s", error)
            return False
        return True

    def _read(self) -> HmacKeys:
        shared = _content(self._shared, "--hmac-key-file").strip() if self._shared else b""
        if self._shared and not shared:
            raise SettingsError(f"--hmac-key-file {self._shared} is empty")
        if not self._own:
            return HmacKeys(shared)
        try:
            text = read_checked(Path(self._own), OTHERS).decode("ascii")
        except UnicodeDecodeError:
            raise SettingsError(f"--hmac-keys {self._own} is no ASCII text") from None
        own = read_own(text, self._own)
        log.info("hmac-sha256 keys of %d API keys were read from %s", len(own), self._own)
        return HmacKeys(shared, own)


def _content(path: str, flag: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {flag} {path}: {error.strerror}") from None
