"""A client that says nothing for longer than a proxy's usual patience of a minute."""

from __future__ import annotations

import pytest

from tests.hosts.conftest import Silence

pytestmark = pytest.mark.slow


def test_a_silent_client_stays_connected_behind_nginx(silent: Silence) -> None:
    """The last test of the folder: most of the time has passed already."""
    silent.wait(75.0)
    silent.websocket.send('{"type": "end"}')
    assert any('"report"' in str(message) for message in silent.websocket)
