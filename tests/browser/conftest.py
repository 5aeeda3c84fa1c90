"""Chromium with a fake microphone, and the page open in it."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, Request, sync_playwright

from tests.browser.recordings import Recording, record
from tests.browser.system import System
from tests.processes import Stages

CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
QUIET: Final = (
    "--no-sandbox",  # the tests may run as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
EXPECTED_ERRORS: Final = (
    "WebSocket connection to",  # an attempt to reconnect failed
    "The ScriptProcessorNode is deprecated",  # the stock page's way to record
)
"""Chromium's own remarks on what a page cannot help."""

OpenPage = Callable[..., Page]


@functools.cache
def chromium() -> str | None:
    """Path of the installed browser."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """One verifier and one transcriber for all tests; each test says which gateway it wants."""
    with Stages() as stages:
        yield System(stages)


@pytest.fixture(scope="session")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One spoken sentence."""
    return record(tmp_path_factory.mktemp("speech"), "train")


@pytest.fixture(scope="session")
def two_sentences(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Two of them, a pause apart."""
    return record(tmp_path_factory.mktemp("speech"), "prices", "garden")


@pytest.fixture
def open_page() -> Iterator[OpenPage]:
    """Open a page in a new browser whose microphone plays a WAV file once, then silence.

    ``open_page(url, microphone=PATH, flags=(), **context)``: ``context`` goes to Playwright's
    ``new_context``. Without ``microphone`` there is none. At the end every page must have kept
    its console clean and asked nobody but its own server.
    """
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium is installed (deploy/set-up browser)")
    complaints: list[str] = []
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())

        def open_one(
            url: str, microphone: Path | None = None, flags: tuple[str, ...] = (), **context: object
        ) -> Page:
            sound = microphone_flags(microphone) if microphone else ()
            browser = playwright.chromium.launch(
                executable_path=executable, args=[*QUIET, *sound, *flags]
            )
            stack.callback(browser.close)
            page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
            watch(page, complaints)
            page.goto(url)
            return page

        yield open_one
    assert complaints == []


def microphone_flags(recording: Path) -> tuple[str, ...]:
    """Flags that grant a microphone which plays a WAV file, once."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}%noloop",
    )


def watch(page: Page, complaints: list[str]) -> None:
    """Note errors on the console, uncaught exceptions and requests that leave the server."""

    def on_request(request: Request) -> None:
        own = page.url.partition("#")[0]
        if not (request.is_navigation_request() or request.url.startswith((own, "blob:"))):
            complaints.append(f"request to {request.url}")

    page.on("request", on_request)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"console: {message.text}")
            if message.type in ("error", "warning") and not message.text.startswith(EXPECTED_ERRORS)
            else None
        ),
    )
