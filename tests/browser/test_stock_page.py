"""RealtimeSTT's own page, as its package ships it, works against the gateway unmodified."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import STRICT, System

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

STOCK_CONTROL: Final = "ws://127.0.0.1:8011"
STOCK_DATA: Final = "ws://127.0.0.1:8012"


def stock_page() -> str:
    """The page in the installed package, found without importing it."""
    spec = importlib.util.find_spec("RealtimeSTT_server")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return (Path(spec.submodule_search_locations[0]) / "index.html").read_text(encoding="utf-8")


def test_the_stock_page_shows_the_sentence_even_on_a_strict_server(
    system: System,
    open_page: OpenPage,
    sentence: Recording,
    tmp_path: Path,
) -> None:
    system.serve(*STRICT)  # it sends no checksums, which is no corruption
    original = stock_page()
    assert STOCK_DATA in original
    # Only the ports differ from what the user opens.
    text = original.replace(STOCK_CONTROL, f"ws://127.0.0.1:{system.control_port}")
    text = text.replace(STOCK_DATA, f"ws://127.0.0.1:{system.data_port}")

    copy = tmp_path / "index.html"
    copy.write_text(text, encoding="utf-8")
    page = open_page(copy.as_uri(), microphone=sentence.path)
    page.click("#startButton")
    expect(page.locator("#fullText")).not_to_be_empty(timeout=30_000)
    said = page.inner_text("#fullText")
    assert sentence.recognised_in(said), said
    expect(page.locator("#status")).to_have_text("Connected to STT server.")
    page.click("#stopButton")
    expect(page.locator("#status")).to_have_text("Disconnected from STT server.")
