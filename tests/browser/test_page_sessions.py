"""What the page keeps and offers over several sessions, and what it says between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import VERIFY, System

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SPEECH_MS: Final = 30_000
CUE: Final = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})")


@pytest.fixture
def page(system: System, open_page: OpenPage) -> Page:
    system.serve(*VERIFY)
    return open_page(system.url)


def stream(page: Page, recording: Recording) -> None:
    page.set_checked("#file-fast", True)
    page.set_input_files("#file", recording.path)
    expect(page.locator("#status-text")).to_have_text("Finished", timeout=SPEECH_MS)


def saved(page: Page, button: str) -> str:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_second_session_keeps_the_text_of_the_first(page: Page, sentence: Recording) -> None:
    stream(page, sentence)
    expect(page.locator("#file-name")).to_have_text(sentence.path.name)
    expect(page.locator("#share")).to_be_hidden()
    first = page.inner_text("#sentences")
    stream(page, sentence)
    expect(page.locator("#sentences li")).to_have_count(2 * sentence.sentences)
    expect(page.locator("#sentences li.begins")).to_have_count(1)
    assert page.inner_text("#sentences").startswith(first)
    page.click("#clear")
    expect(page.locator("#sentences li")).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#copy")).to_be_disabled()


def test_the_sentences_are_saved_as_subtitles(page: Page, two_sentences: Recording) -> None:
    expect(page.locator("#save-vtt")).to_be_hidden()
    stream(page, two_sentences)
    vtt, srt = saved(page, "#save-vtt"), saved(page, "#save-srt")
    assert vtt.startswith("WEBVTT\n\n")
    assert srt.startswith("1\n")
    for text in (vtt, srt):
        spans = [tuple(map(int, found)) for found in CUE.findall(text)]
        assert len(spans) == two_sentences.sentences
        begins = [span[:4] for span in spans]
        assert begins == sorted(begins)
        assert all(span[:4] < span[4:] for span in spans)
    for line in page.inner_text("#sentences").splitlines():
        assert line.strip() in srt


def test_it_invites_to_what_can_be_done_now(page: Page, monologue: Recording) -> None:
    expect(page.locator("#empty")).to_have_text("Press Start and speak.")
    expect(page.locator("#meter-peak")).to_be_hidden()
    page.set_input_files("#file", monologue.path)
    expect(page.locator("#empty")).to_have_text(f"Listening to {monologue.path.name}…")
    expect(page.locator("#share")).to_be_visible()
    page.click("#record")
    expect(page.locator("#status-text")).to_have_text("Finished", timeout=SPEECH_MS)
    expect(page.locator("#share")).to_be_hidden()
    expect(page.locator("#meter-peak")).to_be_hidden()
