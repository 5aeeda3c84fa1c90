"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight Whisper for `--model`; made once a session, in a process of its own.

    (torch and transformers would otherwise stay in the test process's memory.)
    """
    directory = tmp_path_factory.mktemp("tiny-whisper")
    subprocess.run(
        [sys.executable, "-m", "tests.whisper_model", str(directory)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=200,
    )
    return directory
