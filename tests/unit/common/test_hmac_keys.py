"""common.hmac_keys: whose key a checksum is checked with, the file, replacing a key."""

from __future__ import annotations

import pytest

from common.errors import SettingsError
from common.hmac_keys import PREFIX, HmacKeys, new_line, read_own

A, B, C = ("a" * 32, "b" * 40, "c" * 32)


def test_a_new_key_is_256_random_bits_and_its_line_can_be_read() -> None:
    made = [new_line("alice") for _ in range(10)]
    assert len({text for text, _ in made}) == 10
    text, line = made[0]
    assert text.startswith(PREFIX)
    assert len(text) == len(PREFIX) + 43
    assert read_own(line, "keys") == {"alice": (text.encode(),)}


def test_a_name_stands_twice_while_its_key_is_replaced() -> None:
    text = f"# ours\nalice:{A}\n\nbob:{B}  # his\nalice:{C}\n"
    assert read_own(text, "keys") == {
        "alice": (A.encode(), C.encode()),
        "bob": (B.encode(),),
    }


@pytest.mark.parametrize(
    "line, reason",
    [
        ("alice", "no key of"),
        ("alice:short", "no key of"),
        (f"alice:{'x' * 201}", "no key of"),
        (f"alice: {A}", "no key of"),
        (f"al ice:{A}", "cannot name a key"),
        (f"alice:{A}\nalice:{B}\nalice:{C}", "more than twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_its_key_is_not_shown(
    line: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=rf"keys, line \d: .*{reason}") as caught:
        read_own(line, "keys")
    assert A not in str(caught.value)
    assert "short" not in str(caught.value)


def test_an_api_key_is_checked_with_its_own_key_and_never_with_the_shared_one() -> None:
    keys = HmacKeys(b"shared", {"alice": (b"alice's",)})
    assert keys.of("alice") == (b"alice's",)
    assert keys.of("bob") == ()
    assert keys.of("") == (b"shared",)


def test_where_no_key_has_one_of_its_own_all_share_one_if_there_is_one() -> None:
    assert HmacKeys(b"shared").of("alice") == (b"shared",)
    assert HmacKeys().of("alice") == ()
    assert HmacKeys(b"", {}).of("alice") == ()


def test_a_name_that_cannot_be_one_gets_no_line() -> None:
    with pytest.raises(SettingsError):
        new_line("a b")
