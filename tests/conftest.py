"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.whisper_model import tiny_whispers

settings.register_profile("busy", deadline=None)  # machines may be busy
settings.load_profile("busy")

# A shell that runs the tests in the background has Ctrl-C ignored, which all processes that they
# start, and interrupt, would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FOLDERS = (
    *("unit", "integration", "clients", "protocols"),
    *("stock", "browser", "abuse", "faults", "hosts"),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs what is quick and tells most first; a folder not listed comes after `unit`.

    Parallel runs (`make test`) begin with what takes longest instead.
    """

    def position(item: pytest.Item) -> float:
        folder = item.nodeid.split("/")[1]
        return FOLDERS.index(folder) if folder in FOLDERS else 0.5

    parallel = bool(getattr(config.option, "numprocesses", None)) or hasattr(config, "workerinput")
    items.sort(key=position, reverse=parallel)


class _TogetherScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests of a file on one worker, or those of a folder that shares more."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = nodeid.partition("::")[0]
        by_folder = path.startswith(("tests/unit/", "tests/hosts/", "tests/protocols/"))
        return path.rpartition("/")[0] if by_folder else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _TogetherScheduling:
    """Parallel runs share running systems: what belongs together runs on one worker."""
    return _TogetherScheduling(config, log)


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight Whisper for `--model`."""
    return tiny_whispers(tmp_path_factory) / "english"
