"""Replaces ``screenshots/*.png``: ``python -m tests.browser.take_screenshots``, then look at them.

The README shows some of them.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, expect

from tests.browser.chromium import Pages, chromium, pages
from tests.browser.recordings import Recording, record
from tests.browser.system import STRICT, VERIFY, System
from tests.processes import Stages

FOLDER: Final = Path(__file__).parent / "screenshots"
SPEECH_MS: Final = 120_000
PARTIAL_MS: Final = 3_000


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(exist_ok=True)
    with (
        Stages() as stages,
        tempfile.TemporaryDirectory() as folder,
        chromium() as running,
        pages(running) as opened,
    ):
        system = System(stages, engine="pocketsphinx")
        speech = record(Path(folder), "train", "garden", "prices")
        system.serve(*VERIFY)
        _speaking(opened, system, speech, "light", viewport={"width": 1000, "height": 830})
        _speaking(
            opened,
            system,
            speech,
            "dark",
            viewport={"width": 1000, "height": 830},
            color_scheme="dark",
        )
        _speaking(
            opened,
            system,
            speech,
            "phone",
            viewport={"width": 390, "height": 844},
            device_scale_factor=2,
            is_mobile=True,
            has_touch=True,
        )
        _report(opened, system, speech)
        _reconnecting(opened, system, speech)
        system.serve(*STRICT)
        _rejected(opened, system, speech)


def _speaking(opened: Pages, system: System, speech: Recording, name: str, **context: Any) -> None:
    """In the middle of a later sentence, after a damaged frame."""
    page = opened.open(system.url, microphone=speech.path, again_and_again=True, **context)
    page.click(".demo summary")
    page.uncheck("#heal")
    page.click(".demo summary")
    page.click("#record")
    expect(page.locator("#sentences li")).to_have_count(1, timeout=SPEECH_MS)
    _corrupt_next(page)
    expect(page.locator("#count-corrupt")).to_have_text("1", timeout=SPEECH_MS)
    with contextlib.suppress(AssertionError):  # a busy machine sheds partial text
        expect(page.locator("#partial")).not_to_be_empty(timeout=PARTIAL_MS)
    _take(page, name)


def _report(opened: Pages, system: System, speech: Recording) -> None:
    page = opened.open(system.url, viewport={"width": 1000, "height": 830})
    page.click(".demo summary")
    page.uncheck("#heal")
    page.check("#corrupt-every")
    page.fill("#corrupt-interval", "40")
    page.check("#file-fast")
    page.set_input_files("#file", speech.path)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    _take(page, "report")


def _reconnecting(opened: Pages, system: System, speech: Recording) -> None:
    page = opened.open(system.url, microphone=speech.path, viewport={"width": 1000, "height": 830})
    page.click("#record")
    expect(page.locator("#sentences li")).to_have_count(1, timeout=SPEECH_MS)
    system.stop_gateway()
    expect(page.locator("#panel-progress")).not_to_be_empty(timeout=SPEECH_MS)
    _take(page, "reconnecting")


def _rejected(opened: Pages, system: System, speech: Recording) -> None:
    page = opened.open(system.url, microphone=speech.path, viewport={"width": 1000, "height": 830})
    page.click(".demo summary")
    page.uncheck("#heal")
    page.click(".demo summary")
    page.click("#record")
    expect(page.locator("#sentences li")).to_have_count(1, timeout=SPEECH_MS)
    _corrupt_next(page)
    expect(page.locator("#panel")).to_be_visible(timeout=SPEECH_MS)
    _take(page, "rejected")


def _corrupt_next(page: Page) -> None:
    page.click(".demo summary")
    page.click("#corrupt-next")
    page.click(".demo summary")
    page.evaluate("() => document.activeElement.blur()")
    page.mouse.move(0, 0)


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
    page.close()  # its microphone would go on
    print(f"{name}.png", flush=True)


if __name__ == "__main__":
    main()
