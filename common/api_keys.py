"""API keys: how one is made, the file that lists them, and looking one up.

A line is ``name:hash`` and, after spaces, what the key may do::

    alice:3b5d…   sessions=4 hours=8 speed=2 algorithms=crc32c,hmac-sha256 verified
    bob:9f1c…     expires=2030-01-31

A key is 256 random bits: its SHA-256 tells nothing about it, and needs no salt and no slow hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from common.errors import SettingsError
from common.integrity import Algorithm

PREFIX: Final = "stt_"
"""So that tools which look for leaked secrets know one."""
KEY_BYTES: Final = 32
MAX_KEY_CHARACTERS: Final = 200
MAX_KEYS: Final = 100_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.A)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.A)
_BUCKET: Final = 2
"""Bytes of a hash by which keys are found; the rest is compared in constant time."""


class Quota(NamedTuple):
    """What a key may use; 0: no bound of its own.

    Attributes:
        sessions: at once.
        audio_s: seconds of audio in a day (UTC).
        speed: times real time, over all of its sessions.
    """

    sessions: int = 0
    audio_s: float = 0.0
    speed: float = 0.0


class ApiKey(NamedTuple):
    """One line of the file.

    Attributes:
        digest: SHA-256 of the key.
        expires_s: seconds since 1970; None: never.
        algorithms: of checksums that it may use; None: all.
        verified: frames without a checksum are corrupt.
    """

    name: str
    digest: bytes
    quota: Quota = Quota()
    expires_s: float | None = None
    algorithms: frozenset[Algorithm] | None = None
    verified: bool = False

    @property
    def wants_checksums(self) -> bool:
        """Whether audio without a checksum is not taken with it."""
        return self.verified or self.algorithms is not None

    def is_expired(self, now_s: float) -> bool:
        """Whether its time is over; ``now_s``: seconds since 1970."""
        return self.expires_s is not None and now_s >= self.expires_s


def name_of(key: ApiKey | None) -> str:
    """A key's name; "" for nobody's."""
    return key.name if key is not None else ""


def new_key() -> str:
    """A new key: 256 random bits as text that fits into a header, a subprotocol and a URL."""
    return PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=").decode()


def digest_of(key: str) -> bytes:
    """What the file holds of a key."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


def line_of(name: str, key: str) -> str:
    """The file's line for a key.

    Raises:
        SettingsError: the name cannot be one.
    """
    check_name(name)
    return f"{name}:{digest_of(key).hex()}"


def check_name(name: str) -> None:
    """See that a name can be a key's.

    Raises:
        SettingsError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot name a key: up to 64 letters, digits and . _ @ - (a letter or "
            "digit first)"
        )


class KeyRing:
    """The keys of one file, as it was when it was read."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self.keys: Mapping[str, ApiKey] = {key.name: key for key in keys}
        self._buckets: dict[bytes, list[ApiKey]] = {}
        for key in self.keys.values():
            self._buckets.setdefault(key.digest[:_BUCKET], []).append(key)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, text: str) -> ApiKey | None:
        """The key with this text, expired or not."""
        digest = digest_of(text[:MAX_KEY_CHARACTERS])
        found = None
        for key in self._buckets.get(digest[:_BUCKET], ()):
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found if len(text) <= MAX_KEY_CHARACTERS else None

    def still_holds(self, key: ApiKey, now_s: float) -> bool:
        """Whether a key that was found earlier may still be used: not revoked, not expired."""
        now = self.keys.get(key.name)
        return now is not None and now.digest == key.digest and not now.is_expired(now_s)


def read_keys(text: str, where: str) -> KeyRing:
    """Read a file's text.

    Args:
        where: its name, for messages.

    Raises:
        SettingsError: names the line and what is wrong; never shows a hash.
    """
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        try:
            key = _read_line(content)
            if key.name in keys:
                raise SettingsError(f"the name {key.name} stands twice")
        except (SettingsError, ValueError) as error:
            raise SettingsError(f"{where}, line {number}: {error}") from None
        keys[key.name] = key
        if len(keys) > MAX_KEYS:
            raise SettingsError(f"{where} has more than {MAX_KEYS} keys")
    return KeyRing(keys.values())


def _read_line(content: str) -> ApiKey:
    head, *words = content.split()
    name, _, digest = head.partition(":")
    check_name(name)
    if not _HASH.fullmatch(digest):
        raise SettingsError(
            f"{name} has no hash of 64 hexadecimal digits (make a line with: stt-server key NAME)"
        )
    key = ApiKey(name, bytes.fromhex(digest))
    for word in words:
        key = _with(key, *word.partition("=")[::2])
    return key


def _with(key: ApiKey, option: str, value: str) -> ApiKey:
    match option:
        case "sessions":
            return key._replace(quota=key.quota._replace(sessions=int(_number(option, value))))
        case "hours":
            return key._replace(quota=key.quota._replace(audio_s=_number(option, value) * 3600))
        case "speed":
            return key._replace(quota=key.quota._replace(speed=_number(option, value)))
        case "algorithms":
            return key._replace(algorithms=frozenset(map(_algorithm, value.split(","))))
        case "expires":
            return key._replace(expires_s=_moment(value))
        case "verified":
            return key._replace(verified=True)
        case _:
            raise SettingsError(
                f"no option {option!r}: there are sessions, hours, speed, algorithms, expires "
                "and verified"
            )


def _number(option: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise SettingsError(f"{option}={value} is no number above 0")
    return number


def _algorithm(name: str) -> Algorithm:
    try:
        return Algorithm(name)
    except ValueError:
        raise SettingsError(f"no algorithm {name!r}; there are {', '.join(Algorithm)}") from None


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"expires={text} is no date such as 2030-01-31") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
