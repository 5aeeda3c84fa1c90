"""One system for all of these tests: starting it is most of what they cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.system import System
from tests.processes import free_port


class ApiSystem(System):
    """A system with its API port and its Wyoming port open."""

    def __init__(self) -> None:
        self.api_port, self.wyoming_port = free_port(), free_port()
        super().__init__(
            verifiers=2,
            engine="pocketsphinx",
            gateway=(
                *("--api-port", str(self.api_port), "--wyoming-port", str(self.wyoming_port)),
                *("--verify-data-integrity", "--reject-corrupted-data"),
                *("--max-upload-bytes", "8000000"),
            ),
            transcriber=("--enable_realtime_transcription",),
        )

    @property
    def http(self) -> str:
        """What OpenAI's package calls the base URL."""
        return f"http://127.0.0.1:{self.api_port}/v1"


@pytest.fixture(scope="session")
def system() -> Iterator[ApiSystem]:
    with ApiSystem() as system:
        system.wait_ready()
        yield system
