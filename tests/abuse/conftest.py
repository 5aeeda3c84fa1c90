"""One running system for all abuses, and the table of what they did to the good clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.abuse.scene import Scene
from tests.faults.system import System

OTHER_PAGE: Final = "https://other.example"
MAX_SESSIONS: Final = 24
RECORDERS: Final = 8
OBSERVERS: Final = 8
MAX_RECORDING_S: Final = 8
GATEWAY: Final = (
    *("--verify-data-integrity", "--max-sessions", str(MAX_SESSIONS)),
    *("--max-observers", str(OBSERVERS), "--recorder-idle", "0.5", "--session-idle", "4"),
    *("--max-speed", "1.5", "--resume-grace", "2"),
    *("--retain-total-bytes", str(1 << 20), "--allow-origin", OTHER_PAGE),
)
TRANSCRIBER: Final = (
    *("--transcriber-sessions", str(RECORDERS), "--max-recording", str(MAX_RECORDING_S)),
)
"""Small bounds, so that a few connections meet them."""
RESULTS: Final = pytest.StashKey[dict[str, tuple[float, float, float]]]()


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Iterator[Scene]:
    with System(verifiers=2, gateway=GATEWAY, transcriber=TRANSCRIBER) as system:
        system.wait_ready()
        scene = Scene(system)
        pytestconfig.stash[RESULTS] = scene.results
        yield scene
        system.check_alive()


@pytest.fixture
def scene(shared: Scene) -> Iterator[Scene]:
    """A whole system with small bounds, quiet; nothing of it may have died at the end."""
    shared.system.repair()
    yield shared
    shared.system.check_alive()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is short enough for sockets."""
    return tmp_path_factory.mktemp("g")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The numbers of the table in README.md."""
    results = config.stash.get(RESULTS, {})
    if results:
        terminalreporter.section("good clients beside abuses")
    for name, (p99_ms, before_mib, after_mib) in results.items():
        terminalreporter.line(
            f"{name:48} p99 {p99_ms:7.1f} ms   gateway {before_mib:6.1f} -> {after_mib:6.1f} MiB"
        )
