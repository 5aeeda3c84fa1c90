"""The options of the API port."""

from __future__ import annotations

from common.settings import GatewaySettings


def test_a_gateway_by_itself_opens_no_port_that_it_was_not_asked_for() -> None:
    settings = GatewaySettings()
    assert (settings.api_port, settings.wyoming_port) == (0, 0)
    assert settings.listen_idle_s == 10
