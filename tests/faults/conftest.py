"""Systems of real processes for the fault tests, and what they said when a test fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.system import System

StartSystem = Callable[..., System]


@contextlib.contextmanager
def _starter() -> Iterator[StartSystem]:
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> System:
            system = stack.enter_context(System(**options))
            stack.callback(lambda: print(system.log()))  # pytest shows it if the test failed
            system.wait_ready()
            return system

        yield start


@pytest.fixture
def start_system() -> Iterator[StartSystem]:
    """Starts a :class:`System` with the options given; ends it after the test."""
    with _starter() as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_system() -> Iterator[StartSystem]:
    """The same for a system that the tests of a module share."""
    with _starter() as start:
        yield start
