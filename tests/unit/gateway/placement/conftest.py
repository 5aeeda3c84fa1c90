"""A placement for each test, with stand-ins for transcribers behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.links import Links
from common.settings import GatewaySettings
from tests.unit.gateway.placement.placed import FakeChannel, Gateway


@pytest.fixture
def links() -> Iterator[Links]:
    links = Links(GatewaySettings())
    yield links
    links.close_all()


@pytest.fixture
def gateway(links: Links, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr("gateway.placement.CommandChannel", FakeChannel)
    return Gateway(links)
