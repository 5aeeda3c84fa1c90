"""common.access_settings: safe defaults, and lists on the command line and in the environment."""

from __future__ import annotations

import pytest

from common.options import parse
from common.settings import GatewaySettings


def settings(*argv: str) -> GatewaySettings:
    return parse(GatewaySettings, argv, prog="gateway", description="")


def test_nothing_is_open_by_default_that_need_not_be() -> None:
    found = settings()
    assert found.host == "127.0.0.1"
    assert not found.insecure
    assert not found.allow_null_origin
    assert found.allow_origin == ()


def test_several_origins_and_names_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ("--allow-origin", "https://a.example", "https://b.example", "--server-name", "c")
    found = settings(*argv)
    assert found.allow_origin == ("https://a.example", "https://b.example")
    assert found.server_names == ("c",)
    monkeypatch.setenv("STT_ALLOW_ORIGIN", "[https://a.example, https://b.example]")
    monkeypatch.setenv("STT_SERVER_NAMES", "c.example")
    found = settings()
    assert found.allow_origin == ("https://a.example", "https://b.example")
    assert found.server_names == ("c.example",)
