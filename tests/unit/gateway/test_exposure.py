"""gateway.exposure: where a server starts as it is, and where it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import SettingsError
from common.settings import GatewaySettings
from gateway.exposure import check_exposure

TLS: dict[str, Any] = {"tls_cert": "c", "tls_key": "k"}
KEYS: dict[str, Any] = {"api_keys": "f"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.0.0.2"},
        {"host": "0.0.0.0", "published_host": "127.0.0.1"},
        {"host": "0.0.0.0", **TLS, **KEYS},
        {"host": "192.0.2.1", "insecure": True},
    ],
)
def test_it_starts_on_loopback_or_safe_or_when_told(options: dict[str, Any]) -> None:
    check_exposure(GatewaySettings(**options))


@pytest.mark.parametrize(
    "options, missing",
    [
        ({"host": "0.0.0.0"}, ["stt-server certificate", "stt-server key"]),
        ({"host": "::"}, ["stt-server certificate", "stt-server key"]),
        ({"host": ""}, ["stt-server certificate", "stt-server key"]),
        ({"host": "stt.example", **TLS}, ["stt-server key"]),
        ({"host": "192.0.2.1", **KEYS}, ["stt-server certificate"]),
        ({"host": "127.0.0.1", "published_host": "0.0.0.0", **KEYS}, ["certificate"]),
    ],
)
def test_elsewhere_it_refuses_and_names_what_is_missing_and_what_mends_it(
    options: dict[str, Any], missing: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_exposure(GatewaySettings(**options))
    text = str(caught.value)
    assert all(word in text for word in missing)
    assert text.count("\n  - ") == len(missing)
    assert "--insecure" in text


@pytest.mark.parametrize("half", ["tls_cert", "tls_key"])
def test_half_of_tls_is_refused_everywhere(half: str) -> None:
    options: dict[str, Any] = {half: "x"}
    with pytest.raises(SettingsError, match="go together"):
        check_exposure(GatewaySettings(**options))
