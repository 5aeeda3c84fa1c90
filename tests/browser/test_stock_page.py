"""RealtimeSTT's own page, as its package ships it, works against the gateway that serves it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import STRICT, System

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_the_stock_page_shows_the_sentence_even_on_a_strict_server(
    hearing: System, open_page: OpenPage, sentence: Recording
) -> None:
    hearing.serve(*STRICT)  # it sends no checksums, which is no corruption
    page = open_page(f"{hearing.url}realtimestt/", microphone=sentence.path)
    page.click("#startButton")
    expect(page.locator("#fullText")).not_to_be_empty(timeout=30_000)
    said = page.inner_text("#fullText")
    assert sentence.recognised_in(said), said
    expect(page.locator("#status")).to_have_text("Connected to STT server.")
    page.click("#stopButton")
    expect(page.locator("#status")).to_have_text("Disconnected from STT server.")
