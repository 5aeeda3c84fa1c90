"""common.client.access: keys and session ids go where no log has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.client.access import Access, subprotocols
from common.client.errors import AccessError


def test_a_key_is_a_header_and_is_not_shown() -> None:
    access = Access("stt_secret")
    assert access.headers == {"Authorization": "Bearer stt_secret"}
    assert "secret" not in repr(access)
    assert Access().headers == {}


def test_a_session_is_named_by_a_subprotocol() -> None:
    assert subprotocols() == []
    assert subprotocols(session="beef") == ["stt", "stt.session.beef"]
    assert subprotocols(observe="beef") == ["stt", "stt.observe.beef"]


def test_tls_is_for_wss_and_certificates_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    assert Access().tls("ws://host") is None
    assert Access().tls("wss://host") is not None
    with pytest.raises(ValueError, match=r"none\.pem"):
        Access(authorities=str(tmp_path / "none.pem")).tls("wss://host")


def test_who_is_not_let_in_is_told_what_to_do() -> None:
    assert "--api-key-file" in str(AccessError("ws://host", "this server asks for an API key"))
    assert "--api-key-file" not in str(AccessError("ws://host", "the Host header"))
