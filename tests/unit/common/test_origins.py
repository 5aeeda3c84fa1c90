"""common.origins: which pages may connect, and by which name."""

from __future__ import annotations

import pytest

from common.origins import (
    Names,
    OriginRule,
    Site,
    is_loopback,
    is_wildcard,
    origin_of,
    site_of,
)

HERE = "127.0.0.1"
NAMES = Names(["stt.example", "192.0.2.7", "2001:db8::7", "0.0.0.0", "Upper.Example"])
RULE = OriginRule(NAMES, [8012, 8014], ["https://app.example"])


@pytest.mark.parametrize(
    "header, site",
    [
        ("localhost:8012", Site("localhost", 8012)),
        ("STT.Example.", Site("stt.example", None)),
        ("[::1]:80", Site("::1", 80)),
        ("192.0.2.7", Site("192.0.2.7", None)),
    ],
)
def test_a_host_header_is_read_without_case_brackets_or_final_dot(header: str, site: Site) -> None:
    assert site_of(header) == site


@pytest.mark.parametrize(
    "header",
    ["", ":80", "a b", "user@host", "host:99999", "host:x", "a/b", "x" * 400, "é.example", "."],
)
def test_what_is_no_host_is_none(header: str) -> None:
    assert site_of(header) is None


@pytest.mark.parametrize(
    "header",
    ["stt.example", "stt.example:443", "UPPER.example", "192.0.2.7:8012", "[2001:db8::7]:8012"],
)
def test_the_server_answers_to_the_names_that_it_was_told(header: str) -> None:
    assert NAMES.answers_to(header, "192.0.2.1")


@pytest.mark.parametrize(
    "header", ["localhost", "127.0.0.1:8012", "127.8.8.8", "[::1]", "a.localhost"]
)
def test_and_to_the_machines_own(header: str) -> None:
    assert NAMES.answers_to(header, HERE)


@pytest.mark.parametrize(
    "arrived_at, header",
    [("198.51.100.4", "198.51.100.4:8012"), ("::ffff:198.51.100.4", "198.51.100.4")],
)
def test_and_to_the_address_at_which_a_connection_arrives(arrived_at: str, header: str) -> None:
    """Behind a wildcard, one cannot list them; and an address cannot be rebound."""
    assert NAMES.answers_to(header, arrived_at)
    assert not NAMES.answers_to(header, "198.51.100.5")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "evil.example",
        "evil.example:8012",
        "stt.example.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_name_that_somebody_else_pointed_here_is_refused(header: str | None) -> None:
    assert not NAMES.answers_to(header, HERE)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://localhost:8012",
        "http://127.0.0.1:8012",
        "http://localhost:8014",
        "https://app.example",
    ],
)
def test_a_page_of_the_server_and_a_program_may_connect_and_who_is_allowed(
    origin: str | None,
) -> None:
    assert RULE.admits(origin, "127.0.0.1:8011", HERE)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "https://evil.example:8012",
        "http://localhost:3000",
        "http://localhost",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "file://",
        "chrome-extension://abc",
        "http://localhost:8012/path",
        "http://user@localhost:8012",
        "",
        "x" * 1000,
        "http://[",
    ],
)
def test_no_other_page_may(origin: str) -> None:
    assert not RULE.admits(origin, "localhost:8012", HERE)


def test_a_page_from_a_file_may_only_where_that_was_said() -> None:
    assert OriginRule(NAMES, [8012], allow_null=True).admits("null", "localhost:8012", HERE)


@pytest.mark.parametrize("scheme, is_own", [("https", True), ("http", False)])
def test_a_server_with_tls_has_no_pages_that_came_without(scheme: str, is_own: bool) -> None:
    rule = OriginRule(NAMES, [8012], ["http://app.example"], secure=True)
    assert rule.admits(f"{scheme}://localhost:8012", "localhost:8012", HERE) is is_own
    assert rule.admits("http://app.example", "localhost:8012", HERE), "it was told so"


def test_a_proxy_serves_its_pages_at_another_port() -> None:
    assert RULE.admits("https://stt.example", "stt.example", "10.0.0.1")
    assert not RULE.admits("https://stt.example:444", "stt.example", "10.0.0.1")


def test_a_page_of_the_visitors_machine_is_no_page_of_a_remote_server() -> None:
    assert not RULE.admits("http://localhost:8012", "stt.example:8012", "192.0.2.7")


def test_an_origin_has_a_port_even_when_it_does_not_say() -> None:
    secure, plain = origin_of("https://a"), origin_of("http://a")
    assert secure is not None
    assert plain is not None
    assert (secure.port, plain.port) == (443, 80)


@pytest.mark.parametrize("host", ["", "*", "0.0.0.0", "::", "[::]"])
def test_wildcards(host: str) -> None:
    assert is_wildcard(host)
    assert not is_loopback(host)
