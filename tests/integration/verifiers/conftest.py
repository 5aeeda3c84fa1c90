"""Verifiers between a gateway and transcribers that the test stands in for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.verifiers.rig import Rig
from tests.processes import Stages


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Stages() as stages:
        rig = Rig(stages)
        try:
            yield rig
        finally:
            rig.links.close_all()
