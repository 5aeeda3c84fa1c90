"""common.verified_stt: the face of the client that installs alone."""

from __future__ import annotations

import pytest

import common.client
from common import verified_stt


def test_it_gives_what_the_client_gives() -> None:
    for name in common.client.__all__:
        assert getattr(verified_stt, name) is getattr(common.client, name)


def test_a_name_that_it_has_not_is_said() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        _ = verified_stt.conect
