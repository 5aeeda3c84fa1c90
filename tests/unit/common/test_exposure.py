"""common.exposure: where a server starts as it is, and where it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import SettingsError
from common.exposure import check_exposure
from common.settings import GatewaySettings

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


CERTIFICATE = "deploy/stt-server certificate tls"
KEY = "deploy/stt-server key NAME --file api-keys"


@pytest.mark.parametrize(
    "options, commands",
    [
        ({"host": "0.0.0.0"}, [CERTIFICATE, KEY]),
        ({"host": "::"}, [CERTIFICATE, KEY]),
        ({"host": ""}, [CERTIFICATE, KEY]),
        ({"host": "stt.example", **TLS}, [KEY]),
        ({"host": "192.0.2.1", **KEYS}, [CERTIFICATE]),
        ({"host": "127.0.0.1", "published_host": "0.0.0.0", **KEYS}, [CERTIFICATE]),
    ],
)
def test_elsewhere_it_refuses_and_names_what_is_missing_and_what_mends_it(
    options: dict[str, Any], commands: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_exposure(GatewaySettings(**options))
    text = str(caught.value)
    for command in (CERTIFICATE, KEY):
        assert (command in text) == (command in commands)
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert len(lines) == len(commands) + 1, "and the command that starts it then"
    assert "--tls-cert" in lines[-1]
    assert "--api-keys" in lines[-1]
    assert "--insecure" in text


@pytest.mark.parametrize("half", ["tls_cert", "tls_key"])
def test_half_of_tls_is_refused_everywhere(half: str) -> None:
    options: dict[str, Any] = {half: "x"}
    with pytest.raises(SettingsError, match="go together"):
        check_exposure(GatewaySettings(**options))
