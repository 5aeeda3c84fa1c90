"""Keys of ``hmac-sha256`` checksums: one that all clients share, and API keys' own.

A file of the latter has ``name:key`` a line, where ``name`` is that of an API key and ``key`` is
used as it stands, its characters being the bytes. While a key is being replaced its name stands
twice, and checksums of either hold. The file is a secret: who has it can make checksums that hold.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from common.api_keys import MAX_KEYS, check_name
from common.errors import SettingsError

KEY_BYTES: Final = 32
AT_ONCE: Final = 2
"""Keys of one name: the new one and the one that it replaces."""
PREFIX: Final = "stth_"
"""So that tools which look for leaked secrets know one."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{32,200}", re.A)


class HmacKeys(NamedTuple):
    """What a verifier knows; it looks at nothing else.

    Attributes:
        shared: of all clients that have none of their own; empty: there is none.
        own: by the name of an API key; None: no key has one of its own.
    """

    shared: bytes = b""
    own: Mapping[str, tuple[bytes, ...]] | None = None

    def of(self, name: str) -> tuple[bytes, ...]:
        """The keys with which a frame's checksum may be made; empty: with none.

        Where API keys have keys of their own, one that has none cannot use the shared one: it would
        stand for somebody else.

        Args:
            name: of the API key that the client came in with; "" for nobody's.
        """
        if name and self.own is not None:
            return self.own.get(name, ())
        return (self.shared,) if self.shared else ()


NO_KEYS: Final = HmacKeys()


def new_line(name: str) -> tuple[str, str]:
    """A new key and the file's line for it.

    Raises:
        SettingsError: the name cannot be an API key's.
    """
    check_name(name)
    text = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return text, f"{name}:{text}"


def read_own(text: str, where: str) -> dict[str, tuple[bytes, ...]]:
    """Read a file's text.

    Args:
        where: its name, for messages.

    Raises:
        SettingsError: names the line and what is wrong; never shows a key.
    """
    found: dict[str, tuple[bytes, ...]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        name, _, key = content.partition(":")
        try:
            check_name(name)
            if not _KEY.fullmatch(key):
                raise SettingsError(f"{name} has no key of 32 to 200 letters, digits, _ and -")
            if len(found.get(name, ())) == AT_ONCE:
                raise SettingsError(f"the name {name} stands more than twice")
        except SettingsError as error:
            raise SettingsError(f"{where}, line {number}: {error}") from None
        found[name] = (*found.get(name, ()), key.encode())
        if len(found) > MAX_KEYS:
            raise SettingsError(f"{where} has keys of more than {MAX_KEYS} names")
    return found
