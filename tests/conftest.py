"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("busy", deadline=None)  # machines may be busy
settings.load_profile("busy")

# A shell that runs the tests in the background has Ctrl-C ignored, which all processes that they
# start, and interrupt, would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FOLDERS = ("unit", "integration", "clients", "stock", "browser", "abuse", "faults", "hosts")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs what is quick and tells most first; a folder not listed comes after `unit`.

    Parallel runs (`make test`) begin with what takes longest instead, and keep the tests of a
    file together, on one worker, since they share a running system.
    """

    def position(item: pytest.Item) -> float:
        folder = item.nodeid.split("/")[1]
        return FOLDERS.index(folder) if folder in FOLDERS else 0.5

    parallel = bool(getattr(config.option, "numprocesses", None)) or hasattr(config, "workerinput")
    items.sort(key=position, reverse=parallel)
    for item in items:
        path = item.nodeid.partition("::")[0]
        by_folder = path.startswith(("tests/unit/", "tests/hosts/", "tests/protocols/"))
        together = path.rpartition("/")[0] if by_folder else path
        item.add_marker(pytest.mark.xdist_group(together))


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
