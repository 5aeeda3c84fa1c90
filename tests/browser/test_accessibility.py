"""Who cannot see the page, or not its colours, can use it: axe-core's rules, and what they miss."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import VERIFY, System

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SPEECH_MS: Final = 30_000
LUMINANCE_JS: Final = """
  const channels = (color) => color.match(/[0-9.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((value) => value / 255).map((value) =>
      value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [a, b] = [one, other].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };"""
# WCAG 2.2, 1.4.11: what shows where a control is, and what a picture says, stands out by 3:1.
EDGES_JS: Final = f"""() => {{{LUMINANCE_JS}
  const card = getComputedStyle(document.querySelector('.card')).backgroundColor;
  return [...document.querySelectorAll('button:not(.quiet, .record), select, .file, .meter,'
      + ' input[type=number]')].filter((each) => each.checkVisibility()).map((each) =>
    [each.id || each.className, ratio(getComputedStyle(each).borderTopColor, card)])
    .filter(([, found]) => found < 3);
}}"""
BARS_JS: Final = f"""() => {{{LUMINANCE_JS}
  const strip = document.querySelector('#strip');
  const ground = getComputedStyle(strip).backgroundColor;
  const resolve = (name) => {{
    const probe = document.createElement('i');
    probe.style.color = `var(--${{name}})`;
    strip.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  }};
  return ['pending', 'ok', 'unverified', 'healed', 'corrupt'].map((name) =>
    [name, ratio(resolve(name), ground)]).filter(([, found]) => !(found >= 3));
}}"""


def findings(page: Page) -> list[tuple[str, str, Any]]:
    """Serious and critical ones, as rule, help and places."""
    result = Axe().run(page)
    return [
        (found["id"], found["help"], [node["target"] for node in found["nodes"]])
        for found in result.response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.fixture
def url(system: System) -> str:
    system.serve(*VERIFY)
    return system.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_at_rest_has_no_serious_finding(
    url: str, open_page: OpenPage, scheme: str
) -> None:
    page = open_page(url, color_scheme=scheme)
    page.click(".demo summary")
    assert findings(page) == []
    assert page.evaluate(EDGES_JS) == []
    assert page.evaluate(BARS_JS) == []


def test_a_session_with_a_damaged_frame_has_no_serious_finding_and_is_announced(
    url: str, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(url, viewport={"width": 390, "height": 844})
    page.evaluate(
        """() => {
          globalThis.said = [];
          const region = document.getElementById('announcement');
          new MutationObserver(() => said.push(region.textContent)).observe(region,
            {childList: true});
        }"""
    )
    page.click(".demo summary")
    page.uncheck("#heal")
    page.click("#corrupt-every")
    page.fill("#corrupt-interval", "10")
    page.set_checked("#file-fast", True)
    page.set_input_files("#file", sentence.path)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    assert findings(page) == []
    said = page.evaluate("() => said")
    assert re.match(r"Frame \d+: corrupt", said[0])
    assert re.search(r"report: \d+ frames, of them \d+ verified, 0 un.*, \d+ corrupt", said[-1])
    assert len(said) < 6, "told more often than can be heard"
    # On a phone nothing of the report is cut off.
    table = page.locator("#report-failures")
    assert table.evaluate("(box) => box.scrollWidth <= box.clientWidth")


def test_forced_colours_leave_button_status_meter_and_bars(url: str, open_page: OpenPage) -> None:
    page = open_page(url, forced_colors="active")
    shown = page.evaluate(
        """() => {
          const style = (selector) => getComputedStyle(document.querySelector(selector));
          const ground = style('.card').backgroundColor;
          const bar = document.createElement('span');
          bar.dataset.verdict = 'ok';
          document.querySelector('.track').append(bar);
          return {
            button: style('.record').borderTopStyle !== 'none'
              && parseFloat(style('.record').borderTopWidth) > 0,
            icon: style('.record svg').stroke !== style('.record').backgroundColor,
            dot: style('#status-dot').borderTopStyle !== 'none',
            meter: style('.meter').borderTopColor !== ground,
            level: style('.meter-bar').backgroundColor !== ground,
            bar: getComputedStyle(bar).backgroundImage.includes('gradient'),
          };
        }"""
    )
    assert all(shown.values()), shown


def test_the_clock_is_not_read_out_each_second(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    assert page.get_attribute("#clock", "role") == "timer"  # whose live region is off


def test_a_touch_screen_is_not_told_to_point_only(url: str, open_page: OpenPage) -> None:
    page = open_page(url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(page.locator("#frame-detail")).to_contain_text("Tap one or point at it")
