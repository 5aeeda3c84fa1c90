"""Behind proxies: a client's address is what trusted proxies say, never what the client says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from gateway.proxies import FORWARDED, TrustedProxies

PROXY = "10.0.0.9"
PROXIES = TrustedProxies(["10.0.0.0/8"])


def client(proxies: TrustedProxies, remote: str, **headers: str) -> str:
    named = {name.replace("_", "-").lower(): [value] for name, value in headers.items()}
    return proxies.client_of(remote, lambda name: named.get(name.lower(), []))


def test_a_trusted_proxys_word_counts() -> None:
    assert client(PROXIES, PROXY, X_Forwarded_For="192.0.2.7") == "192.0.2.7"


def test_a_strangers_word_does_not() -> None:
    assert client(PROXIES, "192.0.2.66", X_Forwarded_For="192.0.2.7") == "192.0.2.66"


def test_without_trusted_proxies_no_header_is_read() -> None:
    assert client(TrustedProxies([]), PROXY, X_Forwarded_For="192.0.2.7") == PROXY


def test_what_a_client_put_before_the_proxys_word_is_ignored() -> None:
    assert client(PROXIES, PROXY, X_Forwarded_For="198.51.100.1, 192.0.2.7") == "192.0.2.7"


def test_trusted_proxies_within_the_chain_are_passed_over() -> None:
    chain = "198.51.100.1, 192.0.2.7, 10.1.1.1, 10.2.2.2"
    assert client(PROXIES, PROXY, X_Forwarded_For=chain) == "192.0.2.7"


def test_a_request_of_a_proxy_itself_is_that_proxys() -> None:
    assert client(PROXIES, PROXY) == PROXY
    assert client(PROXIES, PROXY, X_Forwarded_For="10.1.1.1") == "10.1.1.1"


@pytest.mark.parametrize(
    "value, expected",
    [
        ("for=192.0.2.7", "192.0.2.7"),
        ('For="[2001:db8::7]:4711"', "2001:db8::7"),
        ('for=198.51.100.1, for="192.0.2.7:80";proto=https;by=10.0.0.1', "192.0.2.7"),
        ("proto=https;for=192.0.2.7", "192.0.2.7"),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ("proto=https", PROXY),
    ],
)
def test_the_standard_header_is_read_where_the_proxies_set_it(value: str, expected: str) -> None:
    proxies = TrustedProxies(["10.0.0.0/8"], FORWARDED)
    assert client(proxies, PROXY, Forwarded=value) == expected


def test_the_header_that_the_proxies_do_not_set_is_the_clients_own_word() -> None:
    assert client(PROXIES, PROXY, Forwarded="for=198.51.100.1") == PROXY


@pytest.mark.parametrize("remote", ["::ffff:10.0.0.9", "10.0.0.9"])
def test_a_proxy_is_known_in_either_form_of_its_address(remote: str) -> None:
    assert client(PROXIES, remote, X_Forwarded_For="192.0.2.7:1234") == "192.0.2.7"


def test_what_is_no_network_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="--trusted-proxies"):
        TrustedProxies(["example"])


@given(st.text(max_size=200))
def test_no_header_does_harm(value: str) -> None:
    for header in (PROXIES, TrustedProxies(["10.0.0.0/8"], FORWARDED)):
        assert client(header, PROXY, X_Forwarded_For=value, Forwarded=value)
