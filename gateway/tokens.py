"""Tokens: what a key is exchanged for where only a URL can be given. They live one minute at most.

A token names its key and says when it ends, under a MAC with a secret that the gateways of a run
dir share.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from common.api_keys import ApiKey, KeyRing

EXCHANGE: Final = "/token"
"""Path at which a key is exchanged for one."""
PREFIX: Final = "sttt_"
SECRET_BYTES: Final = 32
_MAC_BYTES: Final = 16
_TIME_BYTES: Final = 5
MAX_CHARACTERS: Final = 200


class Tokens:
    """Gives tokens and takes them.

    Args:
        secret: random bytes that nobody else has.
        lifetime_s: seconds that each lives.
    """

    def __init__(self, secret: bytes, lifetime_s: int) -> None:
        self._secret = secret
        self.lifetime_s = lifetime_s

    def give(self, key: ApiKey, now_s: float) -> str:
        """A token for a key; ``now_s``: seconds since 1970."""
        end = int(now_s + self.lifetime_s).to_bytes(_TIME_BYTES, "big")
        body = end + key.name.encode()
        return PREFIX + _text(self._mac(key, body) + body)

    def take(self, token: str, keys: KeyRing, now_s: float) -> ApiKey | None:
        """The key of a token that still lives; None for anything else."""
        if not token.startswith(PREFIX) or len(token) > MAX_CHARACTERS:
            return None
        raw = _bytes(token.removeprefix(PREFIX))
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        end, name = body[:_TIME_BYTES], body[_TIME_BYTES:]
        key = keys.keys.get(name.decode(errors="replace"))
        if key is None or not hmac.compare_digest(mac, self._mac(key, body)):
            return None
        return key if now_s < int.from_bytes(end, "big") else None

    def _mac(self, key: ApiKey, body: bytes) -> bytes:
        """Covers the key's hash too: a new key of the same name has new tokens."""
        return hmac.digest(self._secret, key.digest + body, hashlib.sha256)[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
