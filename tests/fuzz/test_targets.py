"""The fuzzer's targets on their seeds, on what it found, and on a few hundred damaged seeds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import FOUND, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_and_what_was_found(name: str) -> None:
    for data in (*TARGETS[name].seeds, *FOUND.get(name, ())):
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_target_takes_damaged_seeds(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(TARGETS[name].seeds))
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    TARGETS[name].run(bytes(damaged))


def test_what_was_found_belongs_to_a_target() -> None:
    assert set(FOUND) <= set(TARGETS)
