"""RealtimeSTT's own page, as its package ships it, works against the gateway that serves it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import STRICT, System
from tests.processes import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_the_stock_page_shows_the_sentence_even_on_a_strict_server(
    hearing: System, open_page: OpenPage, sentence: Recording
) -> None:
    hearing.serve(*STRICT)  # it sends no checksums, which is no corruption
    # Said again and again, for a busy machine's browser leaves samples out at times.
    url = f"{hearing.url}realtimestt/"
    page = open_page(url, microphone=sentence.path, again_and_again=True)
    page.click("#startButton")
    said = page.locator("#fullText")
    wait_until(lambda: sentence.recognised_in(said.inner_text()), "it shows the sentence")
    expect(page.locator("#status")).to_have_text("Connected to STT server.")
    page.click("#stopButton")
    expect(page.locator("#status")).to_have_text("Disconnected from STT server.")
