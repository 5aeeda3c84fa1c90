"""gateway.access: a request is admitted by its site and its key, or told why not."""

from __future__ import annotations

import pytest

from common.api_keys import ApiKey, KeyRing, digest_of
from common.origins import Names, OriginRule
from gateway.access import Access, Admission, Arrival, Refusal
from gateway.tokens import Tokens

NAMES = Names(["stt.example"])
ORIGINS = OriginRule(NAMES, [8012])
LIFETIME_S = 60
TOKENS = Tokens(b"s" * 32, LIFETIME_S)
ALICE = ApiKey("alice", digest_of("K"))
OLD = ApiKey("old", digest_of("O"), expires_s=5)
OPEN = Access(NAMES, ORIGINS, None, TOKENS)
KEYED = Access(NAMES, ORIGINS, KeyRing([ALICE, OLD]), TOKENS)


def arrival(path: str = "/", **headers: str | list[str]) -> Arrival:
    table = {"host": ["localhost:8012"]}
    for name, value in headers.items():
        values = [value] if isinstance(value, str) else value
        table[name.replace("_", "-").lower()] = values
    return Arrival(lambda name: table.get(name.lower(), []), path, "127.0.0.1", "127.0.0.1")


def refused(access: Access, request: Arrival) -> Refusal:
    result = access.admit(request, 10)
    assert isinstance(result, Refusal)
    return result


def admitted(access: Access, request: Arrival) -> Admission:
    result = access.admit(request, 10)
    assert isinstance(result, Admission)
    return result


def test_without_keys_a_program_comes_in_as_it_always_did() -> None:
    assert admitted(OPEN, arrival("/?session=abc")).said.session == "abc"


def test_a_name_that_was_pointed_here_is_refused_even_with_the_key() -> None:
    request = arrival(Host="evil.example:8012", Authorization="Bearer K")
    assert refused(KEYED, request)[:2] == ("host", 421)


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"]])
def test_a_request_has_one_host(hosts: list[str]) -> None:
    assert refused(OPEN, arrival(Host=hosts)).kind == "host"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ["http://localhost:8012"] * 2])
def test_a_page_of_another_site_is_refused_even_with_the_key(origin: str | list[str]) -> None:
    request = arrival(Origin=origin, Authorization="Bearer K")
    assert refused(KEYED, request)[:2] == ("origin", 403)


def test_a_page_of_its_own_is_admitted() -> None:
    assert admitted(OPEN, arrival(Origin="http://localhost:8012"))


def test_with_keys_only_who_has_one_comes_in() -> None:
    assert admitted(KEYED, arrival(Authorization="Bearer K")).key == ALICE
    no_key = refused(KEYED, arrival())
    assert no_key[:2] == ("no_key", 401)
    assert no_key.headers[0][0] == "WWW-Authenticate"
    assert refused(KEYED, arrival(Authorization="Bearer X"))[:2] == ("wrong_key", 401)


def test_an_expired_key_is_named_but_only_to_the_log() -> None:
    expired = refused(KEYED, arrival(Authorization="Bearer O"))
    assert (expired.kind, expired.name) == ("expired_key", "old")
    assert "old" not in expired.reason


def test_a_token_comes_in_by_the_url_for_its_minute() -> None:
    token = TOKENS.give(ALICE, 0)
    assert admitted(KEYED, arrival(f"/?token={token}")).key == ALICE
    assert isinstance(KEYED.admit(arrival(f"/?token={token}"), 60), Refusal)


def test_a_token_is_given_for_a_key_and_never_for_a_token() -> None:
    token = KEYED.exchange(arrival("/token", x_api_key="K"), 10)
    assert isinstance(token, str)
    assert admitted(KEYED, arrival(f"/?token={token}")).key == ALICE
    again = KEYED.exchange(arrival(f"/token?token={token}"), 10)
    assert isinstance(again, Refusal)
    assert again.kind == "token_again"
    nobody = KEYED.exchange(arrival("/token"), 10)
    assert isinstance(nobody, Refusal)
    assert nobody.is_authentication
    without = OPEN.exchange(arrival("/token", x_api_key="K"), 10)
    assert isinstance(without, Refusal)
    assert without.status == 404


@pytest.mark.parametrize(
    "several",
    [arrival(authorization=["Bearer K", "Bearer wrong"]), arrival(x_api_key=["K", "wrong"])],
)
def test_a_request_brings_one_key(several: Arrival) -> None:
    """A proxy that looks at one of two headers must not have looked at the other one."""
    assert refused(KEYED, several).kind == "several_keys"
    assert admitted(OPEN, several).key is None


def test_a_key_for_verified_audio_is_refused_where_nothing_is_verified() -> None:
    careful = ApiKey("careful", digest_of("C"), verified=True)
    for verifies in (True, False):
        access = Access(NAMES, ORIGINS, KeyRing([careful]), TOKENS, verifies=verifies)
        result = access.admit(arrival(x_api_key="C"), 10)
        assert isinstance(result, Admission) is verifies
    assert isinstance(result, Refusal)
    assert "--verify-data-integrity" in result.reason


def test_no_reason_repeats_what_was_sent() -> None:
    secret = "stt_secretsecret"
    for request in (
        arrival(Authorization=f"Bearer {secret}"),
        arrival(f"/?token={secret}"),
        arrival(Host=secret),
        arrival(Origin=secret),
    ):
        refusal = refused(KEYED, request)
        assert secret not in refusal.reason
        assert secret not in refusal.name


def test_a_page_loads_without_a_key_since_it_has_to_ask_for_one() -> None:
    assert KEYED.admit_site(arrival()) is None
    assert KEYED.admit_site(arrival(Host="evil.example")) is not None
