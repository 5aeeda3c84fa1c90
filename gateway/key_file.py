"""The file of API keys, read again when it changes.

A file that cannot be used changes nothing: neither does it let anybody in, nor does it end the
sessions of those whose keys were good. One without any key may be half written, so it is believed
once it is the same at the next look; then nobody has a key any more.
"""

from __future__ import annotations

import logging
from pathlib import Path

from common.api_keys import KeyRing, read_keys
from common.errors import SettingsError
from common.secret_files import WRITERS, Stamp, read_checked

log = logging.getLogger(__name__)


class KeyFile:
    """The keys as they were read last.

    Raises:
        SettingsError: the file cannot be used.

    Attributes:
        keys: replaced as a whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = Stamp(path)
        self._was_empty = False
        self.keys = self._read()

    def take_up_changes(self) -> bool | None:
        """Now and then: True when other keys hold from now on, None when nothing changed.

        False: the file cannot be used, which is logged, and the keys stay what they were.
        """
        if not self._stamp.changed() and not self._was_empty:
            return None
        try:
            keys = self._read()
        except SettingsError as error:
            self._was_empty = False
            log.error("the API keys stay what they were: %s", error)
            return False
        if not len(keys) and len(self.keys) and not self._was_empty:
            self._was_empty = True
            return None
        self._was_empty = False
        self.keys = keys
        return True

    def _read(self) -> KeyRing:
        try:
            text = read_checked(self._path, WRITERS).decode()
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self._path} is no text: {error.reason}") from None
        keys = read_keys(text, str(self._path))
        log.info("%d API keys were read from %s", len(keys), self._path)
        return keys
