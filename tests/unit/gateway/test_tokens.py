"""gateway.tokens: what a token is worth, and for how long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api_keys import ApiKey, KeyRing, digest_of
from gateway.tokens import Tokens

ALICE = ApiKey("alice", digest_of("a"))
BOB = ApiKey("bob", digest_of("b"))
RING = KeyRing([ALICE, BOB])
LIFETIME_S = 60
TOKENS = Tokens(b"s" * 32, LIFETIME_S)
NOW_S = 1_900_000_000.5


def test_a_token_stands_for_its_key_for_a_minute() -> None:
    token = TOKENS.give(ALICE, NOW_S)
    assert TOKENS.take(token, RING, NOW_S) == ALICE
    assert TOKENS.take(token, RING, NOW_S + LIFETIME_S - 1) == ALICE
    assert TOKENS.take(token, RING, NOW_S + LIFETIME_S) is None


def test_a_token_fits_into_a_url() -> None:
    name = "n" * 64
    token = TOKENS.give(ApiKey(name, bytes(32)), NOW_S)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,200}", token)


def test_a_token_ends_with_its_key() -> None:
    token = TOKENS.give(ALICE, NOW_S)
    assert TOKENS.take(token, KeyRing([BOB]), NOW_S) is None
    renewed = ALICE._replace(digest=digest_of("c"))
    assert TOKENS.take(token, KeyRing([renewed]), NOW_S) is None


def test_another_gateways_token_is_none() -> None:
    assert Tokens(b"t" * 32, LIFETIME_S).take(TOKENS.give(ALICE, NOW_S), RING, NOW_S) is None


@pytest.mark.parametrize("position", range(5, 40))
def test_no_character_of_a_token_can_be_changed(position: int) -> None:
    token = TOKENS.give(ALICE, NOW_S)
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
    taken = TOKENS.take(changed, RING, NOW_S)
    assert taken is None or position == len(token) - 1  # the last one holds unused bits


@given(st.text(max_size=300))
def test_anything_else_is_no_token(text: str) -> None:
    assert TOKENS.take(text, RING, NOW_S) is None
    assert TOKENS.take("sttt_" + text, RING, NOW_S) is None
