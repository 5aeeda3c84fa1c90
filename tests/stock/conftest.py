"""A running system for stock clients: it verifies and rejects, which they must not notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.system import System
from tests.stock.stock_client import StockClient

Connect = Callable[..., StockClient]


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """All stages with the embedded engine and partial results."""
    with System(
        verifiers=2,
        engine="pocketsphinx",
        gateway=("--verify-data-integrity", "--reject-corrupted-data", "--allow-null-origin"),
        transcriber=("--enable_realtime_transcription",),
    ) as system:
        system.wait_ready()
        yield system
        system.check_alive()


def start_client(system: System, folder: Path, query: str = "", **options: object) -> StockClient:
    """Start a stock client of a system, without waiting for its construction."""
    return StockClient(
        folder,
        control_url=f"ws://127.0.0.1:{system.control_port}/{query}",
        data_url=f"ws://127.0.0.1:{system.data_port}/{query}",
        **options,
    )


@pytest.fixture
def connect(system: System, tmp_path: Path) -> Iterator[Connect]:
    """Start a stock client: ``connect("anna", **options)``; it is ended after the test."""
    with ExitStack() as stack:

        def start(name: str = "client", query: str = "", **options: object) -> StockClient:
            return stack.enter_context(start_client(system, tmp_path / name, query, **options))

        yield start
