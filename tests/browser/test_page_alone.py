"""The page without a session: who can use it, on what, and what it says when it cannot work."""

from __future__ import annotations

import re
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import VERIFY, System

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DEMONSTRATION: Final = "Corrupt a frame, to see what happens"
CONTROLS: Final = "button, select, input, a[href], summary, [tabindex='0']"
NAMELESS_JS: Final = """(controls) => [...document.querySelectorAll(controls)].filter((control) => {
  const labels = [...(control.labels ?? [])].map((label) => label.textContent).join('');
  return !(control.getAttribute('aria-label') || labels || control.textContent).trim();
}).map((control) => control.outerHTML)"""
REFERENCES_JS: Final = """() => [...document.querySelectorAll(
    '[aria-labelledby], [aria-describedby], label[for]')].flatMap((element) =>
  ['aria-labelledby', 'aria-describedby', 'for'].flatMap((name) =>
    (element.getAttribute(name) ?? '').split(' ').filter((id) =>
      id && !document.getElementById(id))))"""
# WCAG 2.2, 1.4.3: contrast of every text that can be seen with what is behind it.
LOW_CONTRAST_JS: Final = """() => {
  const channels = (color) => color.match(/[0-9.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((value) => value / 255).map((value) =>
      value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((channels(color)[3] ?? 1) > 0) return color;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(':disabled, :has(:disabled), .skip')) continue;
    const [a, b] = [getComputedStyle(element).color, ground(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${texts.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.fixture
def url(system: System) -> str:
    system.serve(*VERIFY)
    return system.url


def test_controls_have_names_references_have_targets_and_changes_are_announced(
    url: str, open_page: OpenPage
) -> None:
    page = open_page(url)
    page.click(".demo summary")
    assert page.locator(CONTROLS).count() > 10
    assert page.evaluate(NAMELESS_JS, CONTROLS) == []
    assert page.evaluate(REFERENCES_JS) == []
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("[role=log] #sentences").count() == 1
    assert page.locator("[role=alert]").count() == 1
    assert page.locator("[role=status]").count() == 3


def test_everything_is_reached_by_the_tab_key_and_shows_the_focus(
    url: str, open_page: OpenPage
) -> None:
    page = open_page(url)
    reached = []
    while not page.evaluate("() => document.activeElement === document.body"):
        element = page.locator(":focus")
        reached.append(element.get_attribute("id") or element.inner_text())
        assert "3px" in outline_of(page), reached[-1]
        page.keyboard.press("Tab")
    assert reached == [
        "record",
        "microphone",
        "file",
        "file-fast",
        "transcript",
        "strip",
        DEMONSTRATION,
    ]


def outline_of(page: Page) -> str:
    """The outline of what has the focus, or of the label that stands for it."""
    return str(
        page.evaluate(
            """() => [document.activeElement, document.activeElement.closest('.file')]
              .filter(Boolean).map((element) => getComputedStyle(element).outlineWidth).join()"""
        )
    )


def test_text_has_contrast_in_light_and_dark(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    page.click(".demo summary")
    page.evaluate(
        """() => {
          const panel = document.getElementById('panel');
          panel.hidden = false;
          panel.dataset.kind = 'error';
          document.getElementById('panel-reason').textContent = 'reason';
          document.getElementById('panel-progress').textContent = 'progress';
        }"""
    )
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(LOW_CONTRAST_JS) == [], scheme


def test_nothing_sticks_out_of_a_narrow_screen(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    page.click(".demo summary")
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


def test_a_phone_shows_words_and_verdicts(
    url: str, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(
        url,
        microphone=sentence.path,
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
    )
    page.tap("#record")
    expect(page.locator("#sentences li")).to_have_count(1, timeout=30_000)
    page.tap("#strip")
    expect(page.locator("#frame-detail")).to_have_text(re.compile(r"Frame \d+: verified"))
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390


def test_a_page_that_is_not_secure_says_what_to_do(
    system: System, open_page: OpenPage, sentence: Recording
) -> None:
    system.serve(*VERIFY, "--server-name", "stt.example")
    page = open_page(
        f"http://stt.example:{system.data_port}/",
        flags=("--host-resolver-rules=MAP stt.example 127.0.0.1",),
    )
    page.click("#record")
    expect(page.locator("#panel-title")).to_have_text("The microphone needs a secure page")
    expect(page.locator("#panel-hints")).to_contain_text(f"http://localhost:{system.data_port}/")
    page.set_checked("#file-fast", True)
    page.set_input_files("#file", sentence.path)
    expect(page.locator("#report")).to_be_visible(timeout=30_000)


def test_a_microphone_that_is_refused_is_explained(url: str, open_page: OpenPage) -> None:
    page = open_page(url, flags=("--use-fake-device-for-media-stream", "--deny-permission-prompts"))
    page.click("#record")
    expect(page.locator("#panel-title")).to_have_text("The microphone is not allowed")
    expect(page.locator("#record-label")).to_have_text("Start")


def test_a_machine_without_a_microphone_is_told_so(url: str, open_page: OpenPage) -> None:
    page = open_page(url, flags=("--use-fake-ui-for-media-stream",))
    page.click("#record")
    expect(page.locator("#panel-title")).to_have_text("No microphone found")


def test_a_file_that_is_no_audio_is_refused(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    page.set_input_files(
        "#file", {"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"not audio"}
    )
    expect(page.locator("#panel-title")).to_have_text("This file cannot be played")
    expect(page.locator("#panel-reason")).to_contain_text("notes.wav")


def test_microphones_can_be_chosen_by_name(
    url: str, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(url, microphone=sentence.path, permissions=["microphone"])
    expect(page.locator("#microphone option")).not_to_have_count(1)
    names = page.locator("#microphone option").all_inner_texts()
    assert "Default microphone" in names
    page.select_option("#microphone", label=names[-1])
    page.click("#record")
    expect(page.locator("#status-text")).to_have_text("Listening")
