"""Chromium with a fake microphone, and the page open in it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Chromium, chromium, executable, pages
from tests.browser.recordings import Recording, record
from tests.browser.system import System
from tests.processes import Stages

OpenPage = Callable[..., Page]
"""``Pages.open``: ``open_page(url, microphone=PATH, flags=(…), **context)``."""


expect.set_options(timeout=20_000)  # machines may be busy


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the stages said when a test fails."""
    report = yield
    for system in getattr(item, "funcargs", {}).values():
        if report.failed and isinstance(system, System):
            report.sections.append(("stages", system.output))
            break
    return report


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """One verifier and one transcriber for all tests; each test says which gateway it wants."""
    with Stages() as stages:
        yield System(stages)


@pytest.fixture(scope="session")
def hearing() -> Iterator[System]:
    """The same with an engine that understands words, for the tests that read them."""
    with Stages() as stages:
        yield System(stages, engine="pocketsphinx")


@pytest.fixture(scope="session")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One spoken sentence."""
    return record(tmp_path_factory.mktemp("speech"), "train")


@pytest.fixture(scope="session")
def monologue(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Somebody who hardly stops for breath."""
    names = ("river", "numbers", "ship", "mountains")
    return record(tmp_path_factory.mktemp("speech"), *names, pause_s=0.1)


@pytest.fixture(scope="session")
def two_sentences(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Two of them, a pause apart."""
    return record(tmp_path_factory.mktemp("speech"), "prices", "garden")


@pytest.fixture(scope="module")
def browsers() -> Iterator[Chromium]:
    """As few as a file's tests can share; gone with the last of them.

    While Playwright runs, its event loop is the thread's, and no test of another file could run
    one of its own.
    """
    if executable() is None:
        pytest.skip("no Chromium is installed (deploy/set-up browser)")
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browsers: Chromium) -> Iterator[OpenPage]:
    """Opens pages; at the end none may have left errors or have asked another server."""
    with pages(browsers) as opened:
        yield opened.open
    assert opened.complaints == []
