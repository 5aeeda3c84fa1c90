"""gateway.stock_page: RealtimeSTT's page with this server's addresses, and nothing else changed."""

from __future__ import annotations

import pytest

from gateway import stock_page
from gateway.stock_page import CONTROL, DATA, original, page


def served(target: str = "/realtimestt/", host: str = "localhost:9012") -> tuple[str, str]:
    result = page(target, host, secure=False, control_port=9011)
    assert result is not None
    return result


def test_only_the_two_addresses_differ_from_the_packages_page() -> None:
    text, _ = served()
    back = text.replace('"ws://localhost:9011/"', CONTROL).replace('"ws://localhost:9012/"', DATA)
    assert text != original()
    assert back == original()


def test_over_tls_its_connections_are_too() -> None:
    result = page("/", "stt.example", secure=True, control_port=8011)
    assert result is not None
    text, policy = result
    assert '"wss://stt.example:8011/"' in text
    assert '"wss://stt.example/"' in text
    assert "ws://" not in text.replace("wss://", "")
    assert "connect-src wss://stt.example:8011 wss://stt.example;" in policy


def test_a_token_goes_on_to_its_connections() -> None:
    text, _ = served("/realtimestt/?token=sttt_abc-_1")
    assert text.count("/?token=sttt_abc-_1") == 2


@pytest.mark.parametrize("token", ['"><script>', "a%22b", "a;b", "x" * 300])
def test_what_is_no_token_does_not(token: str) -> None:
    text, _ = served(f"/realtimestt/?token={token}")
    assert "token=" not in text


def test_its_policy_lets_it_talk_to_this_server_alone() -> None:
    _, policy = served()
    assert "default-src 'none'" in policy
    assert "connect-src ws://localhost:9011 ws://localhost:9012" in policy
    _, policy = served(host="[::1]:9012")
    assert "connect-src ws:;" in policy


def test_a_package_that_is_not_there_or_another_one_has_no_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock_page, "original", lambda: "")
    assert page("/", "localhost", secure=False, control_port=1) is None
