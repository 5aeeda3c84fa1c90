"""Debian's Chromium, driven by Playwright, with a microphone that plays a WAV file."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, Playwright, Request, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
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
    "Failed to load resource: net::ERR_CONNECTION_",  # a test stopped the gateway
    "The ScriptProcessorNode is deprecated",  # the stock page's way to record
)
"""Chromium's own remarks on what a page cannot help."""


@functools.cache
def executable() -> str | None:
    """Path of the installed browser."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """Starts a browser once for each set of flags, such as for each recording."""

    def __init__(self, playwright: Playwright, stack: ExitStack) -> None:
        self._playwright = playwright
        self._stack = stack
        self._running: dict[tuple[str, ...], Browser] = {}

    def browser(self, *flags: str) -> Browser:
        """One with these flags."""
        found = self._running.get(flags)
        if found is None or not found.is_connected():
            found = self._playwright.chromium.launch(
                executable_path=executable(), args=[*QUIET, *flags]
            )
            self._stack.callback(found.close)
            self._running[flags] = found
        return found


class Pages:
    """Opens pages, each in a context of its own, and notes what they should not do.

    Attributes:
        complaints: errors on a console, uncaught exceptions, requests to other servers.
    """

    def __init__(self, chromium: Chromium, stack: ExitStack) -> None:
        self._chromium = chromium
        self._stack = stack
        self.complaints: list[str] = []

    def open(
        self,
        url: str,
        *,
        microphone: Path | None = None,
        again_and_again: bool = False,
        flags: tuple[str, ...] = (),
        **context: Any,
    ) -> Page:
        """Open a page; the microphone plays the WAV file once, then silence, or in a loop.

        Without ``microphone`` there is none. ``context`` goes to Playwright's ``new_context``.
        """
        sound = _microphone_flags(microphone, again_and_again) if microphone else ()
        fresh = self._chromium.browser(*sound, *flags).new_context(**context)
        self._stack.callback(fresh.close)
        page = fresh.new_page()
        self._stack.callback(page.close)  # says goodbye to the server, a closed context does not
        self._watch(page)
        page.goto(url)
        return page

    def _watch(self, page: Page) -> None:
        def on_request(request: Request) -> None:
            own = page.url.partition("#")[0]
            if not (request.is_navigation_request() or request.url.startswith((own, "blob:"))):
                self.complaints.append(f"request to {request.url}")

        page.on("request", on_request)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(f"console: {message.text}")
                if message.type in ("error", "warning")
                and not message.text.startswith(EXPECTED_ERRORS)
                else None
            ),
        )


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Browsers that are closed at the end of the block."""
    with ExitStack() as stack:
        yield Chromium(stack.enter_context(sync_playwright()), stack)


@contextmanager
def pages(browsers: Chromium) -> Iterator[Pages]:
    """Pages that are closed at the end of the block."""
    with ExitStack() as stack:
        yield Pages(browsers, stack)


def _microphone_flags(recording: Path, again_and_again: bool) -> tuple[str, ...]:
    source = str(recording) if again_and_again else f"{recording}%noloop"
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={source}",
    )
