"""common.api_keys: the file, a key's hash, looking one up, revocation."""

from __future__ import annotations

import re

import pytest

from common.api_keys import (
    PREFIX,
    ApiKey,
    KeyRing,
    Quota,
    digest_of,
    line_of,
    new_key,
    read_keys,
)
from common.errors import SettingsError
from common.integrity import Algorithm

HASH = "ab" * 32


def test_a_key_is_256_random_bits_that_fit_into_a_url_a_header_and_a_subprotocol() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(PREFIX + r"[A-Za-z0-9_-]{43}", key) for key in keys)


def test_the_file_holds_a_hash_and_never_the_key() -> None:
    key = new_key()
    line = line_of("alice", key)
    assert key not in line
    found = read_keys(line, "keys").find(key)
    assert found is not None
    assert found.name == "alice"


def test_only_the_very_key_is_found() -> None:
    key = new_key()
    ring = read_keys("\n".join([line_of("alice", key), line_of("bob", new_key())]), "keys")
    for wrong in (new_key(), key[:-1], key + "x", key.upper(), "", HASH, "x" * 10_000, "\ud800"):
        assert ring.find(wrong) is None


def test_keys_whose_hashes_begin_alike_are_told_apart() -> None:
    key = new_key()
    neighbour = ApiKey("bob", digest_of(key)[:4] + bytes(28))
    ring = KeyRing([neighbour, ApiKey("alice", digest_of(key))])
    found = ring.find(key)
    assert found is not None
    assert found.name == "alice"


def test_a_line_says_what_the_key_may_do() -> None:
    ring = read_keys(
        f"""
        # our own
        alice:{HASH}  sessions=4 hours=0.5 speed=2 algorithms=crc32c,hmac-sha256 verified
        bob:{"cd" * 32}  expires=2030-01-31   # until then
        """,
        "keys",
    )
    assert len(ring) == 2
    alice, bob = ring.keys["alice"], ring.keys["bob"]
    assert alice.quota == Quota(sessions=4, audio_s=1800, speed=2)
    assert alice.algorithms == frozenset({Algorithm.CRC32C, Algorithm.HMAC_SHA256})
    assert alice.verified
    assert not alice.is_expired(9e9)
    assert bob == ApiKey("bob", bytes.fromhex("cd" * 32), expires_s=1_896_048_000.0)
    assert bob.is_expired(1_896_048_000)
    assert not bob.is_expired(1_896_047_999)


@pytest.mark.parametrize(
    "line, message",
    [
        ("alice", "has no hash"),
        ("alice:abc", "stt-server key NAME"),
        (f"a b:{HASH}", "has no hash"),
        (f"-a:{HASH}", "cannot name a key"),
        (f"alice:{HASH} sessions=0", "no number above 0"),
        (f"alice:{HASH} hours=nan", "no number above 0"),
        (f"alice:{HASH} speed=fast", "no number above 0"),
        (f"alice:{HASH} algorithms=md5", "no algorithm 'md5'"),
        (f"alice:{HASH} expires=soon", "no date"),
        (f"alice:{HASH} admin", "no option 'admin'"),
        (f"alice:{HASH}\nalice:{HASH}", "line 2: the name alice stands twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_its_hash_is_not_shown(
    line: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        read_keys(line, "/etc/keys")
    assert "/etc/keys, line" in str(caught.value)
    assert HASH not in str(caught.value)


def test_a_key_holds_until_it_is_revoked_replaced_or_expired() -> None:
    key = ApiKey("alice", digest_of("a"))
    assert KeyRing([key]).still_holds(key, 0)
    assert KeyRing([key._replace(verified=True)]).still_holds(key, 0), "what it may do may change"
    assert not KeyRing([]).still_holds(key, 0)
    assert not KeyRing([key._replace(digest=digest_of("b"))]).still_holds(key, 0)
    assert not KeyRing([key._replace(expires_s=10)]).still_holds(key, 10)


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot name a key"):
        line_of("a:b", new_key())
