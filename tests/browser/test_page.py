"""The page on the real stages: what a person who speaks into it sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.cutting_proxy import CuttingProxy
from tests.browser.recordings import Recording
from tests.browser.system import STRICT, VERIFY, System
from tests.processes import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SPEECH_MS: Final = 30_000
"""For what needs audio at the pace of speech."""
_undisturbed: dict[Path, str] = {}
TEN_OR_MORE: Final = re.compile(r"^[1-9]\d+$")


@pytest.fixture
def verifying(system: System) -> System:
    system.serve(*VERIFY)
    return system


def speak(page: Page) -> None:
    """Press the button that has the focus from the start."""
    page.keyboard.press("Enter")


def sentences(page: Page, count: int) -> str:
    """The text once ``count`` sentences are there."""
    expect(page.locator("#sentences li")).to_have_count(count, timeout=SPEECH_MS)
    return page.inner_text("#sentences")


def finish(page: Page) -> str:
    """Press Stop and wait for the report."""
    page.click("#record")
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    return page.inner_text("#report-numbers")


def shows(page: Page, element_id: str, value: int) -> None:
    """Wait until a number is drawn: the page draws some 12 times a second, and its report first."""
    expect(page.locator(f"#{element_id}")).to_have_text(str(value))


def number(page: Page, element_id: str) -> int:
    return int(page.inner_text(f"#{element_id}"))


def wait_for_verdicts(page: Page, frames: int) -> None:
    wait_until(lambda: number(page, "count-ok") >= frames, f"{frames} good frames")


def stream_file(page: Page, recording: Recording, *, fast: bool) -> None:
    page.set_checked("#file-fast", fast)
    page.set_input_files("#file", recording.path)


def undisturbed(open_page: OpenPage, system: System, recording: Recording) -> str:
    """What the page shows for a recording on a quiet day."""
    if recording.path not in _undisturbed:
        page = open_page(system.url)
        stream_file(page, recording, fast=True)
        expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
        _undisturbed[recording.path] = sentences(page, recording.sentences)
        page.close()
    return _undisturbed[recording.path]


def test_speech_becomes_words_and_green_verdicts(
    hearing: System, open_page: OpenPage, sentence: Recording
) -> None:
    hearing.serve(*VERIFY)
    page = open_page(hearing.url, microphone=sentence.path, viewport={"width": 1000, "height": 860})
    expect(page.locator("#record")).to_be_focused()
    speak(page)
    expect(page.locator("#status-text")).to_have_text("Listening")
    text = sentences(page, 1)
    assert sentence.recognised_in(text), text
    assert number(page, "count-ok") > 20
    assert number(page, "count-corrupt") == number(page, "count-unverified") == 0
    expect(page.locator("#strip [data-verdict=ok]").last).to_be_visible()
    expect(page.locator("#round-trip")).to_have_text(re.compile(r"\d m?s"))
    report = finish(page)
    assert re.search(r"Corrupt\s+0\b", report)
    assert re.search(r"Sentences\s+1\b", report)
    expect(page.locator("#status-text")).to_have_text("Finished")


def test_partial_text_shows_while_somebody_speaks(
    verifying: System, open_page: OpenPage, monologue: Recording
) -> None:
    page = open_page(verifying.url, microphone=monologue.path, again_and_again=True)
    speak(page)
    expect(page.locator("#partial")).not_to_be_empty(timeout=2 * SPEECH_MS)


def test_a_sentence_that_stop_cuts_short_still_comes(
    verifying: System, open_page: OpenPage, monologue: Recording
) -> None:
    page = open_page(verifying.url)
    stream_file(page, monologue, fast=False)
    wait_for_verdicts(page, monologue.frames // 3)
    assert page.locator("#sentences li").count() == 0
    finish(page)
    sentences(page, 1)


def test_a_damaged_frame_turns_red_and_says_expected_and_got(
    verifying: System, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(
        verifying.url,
        microphone=sentence.path,
        color_scheme="dark",
        viewport={"width": 1000, "height": 1010},
    )
    page.click(".demo summary")
    page.uncheck("#heal")
    page.focus("#record")
    speak(page)
    expect(page.locator("#count-ok")).to_have_text(TEN_OR_MORE, timeout=SPEECH_MS)
    page.click("#corrupt-next")
    red = page.locator("#strip [data-verdict=corrupt]")
    expect(red).to_have_count(1, timeout=SPEECH_MS)
    says = re.compile(r"Frame \d+: corrupt — checksum: expected (\d+), got (\d+)\.")
    expect(page.locator("#failures li")).to_have_text(says)
    page.locator("#strip").hover(position={"x": 5, "y": 20})  # it stands still from here on
    red.hover()
    expect(page.locator("#frame-detail")).to_have_text(says)
    found = says.search(page.inner_text("#frame-detail"))
    assert found is not None
    # One flipped bit, 2^14, of one sample.
    assert (int(found[2]) - int(found[1])) % 2**32 in (2**14, 2**32 - 2**14)
    sentences(page, 1)
    assert re.search(r"Corrupt\s+1\b", finish(page))
    expect(page.locator("#report-failures tbody tr")).to_have_count(1)


def test_a_damaged_frame_heals_and_shows_amber_even_on_a_strict_server(
    system: System, open_page: OpenPage, sentence: Recording
) -> None:
    system.serve(*STRICT)
    expected = undisturbed(open_page, system, sentence)
    page = open_page(system.url)
    page.click(".demo summary")
    page.check("#corrupt-every")
    page.fill("#corrupt-interval", "20")
    stream_file(page, sentence, fast=True)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    healed = sentence.frames // 20
    shows(page, "count-healed", healed)
    shows(page, "count-ok", sentence.frames)
    assert number(page, "count-corrupt") == 0
    assert re.search(rf"Healed\s+{healed}\b", page.inner_text("#report-numbers"))
    amber = page.locator("#strip [data-verdict=healed]")
    expect(amber).to_have_count(healed)
    amber.last.hover()
    expect(page.locator("#frame-detail")).to_have_text(
        re.compile(
            r"Frame \d+: healed — damaged or lost on the way, asked for once, as sent \d+ ms"
        )
    )
    assert sentences(page, 1) == expected
    page.click("#sentences .mark")
    expect(page.locator("#sentences .origin")).to_have_text(
        re.compile(
            r"Heard from .* samples: \d+ verified, \d+ healed; checksum additive; recogn.*\."
        )
    )
    fault = page.locator("#last-fault summary")
    expect(fault).to_have_text(
        re.compile(r"Latest fault .* frame \d+: bit 6 of byte \d+ was flipped: 0x\w+ became 0x\w+")
    )
    fault.click()
    arrived, sent = re.findall(r"^ *\d+(  .*)\n    sent(  .*)$", view_of(page), re.MULTILINE)[0]
    assert sum(a != b for a, b in zip(arrived[:49], sent[:49], strict=True)) in (1, 2)


def view_of(page: Page) -> str:
    return page.inner_text("#last-fault pre")


def test_crc32c_frames_are_verified_and_damage_is_found(
    verifying: System, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(verifying.url)
    page.click(".demo summary")
    page.uncheck("#heal")
    page.select_option("#algorithm", "crc32c")
    page.check("#corrupt-every")
    page.fill("#corrupt-interval", "10")
    stream_file(page, sentence, fast=True)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    sent = sentence.frames
    shows(page, "count-sent", sent)
    shows(page, "count-corrupt", sent // 10)
    shows(page, "count-ok", sent - sent // 10)


def test_the_keyboard_walks_along_the_verdicts(
    verifying: System, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(verifying.url)
    stream_file(page, sentence, fast=True)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    last = number(page, "count-sent") - 1
    page.focus("#strip")
    for key, frame in (("ArrowLeft", last), ("ArrowLeft", last - 1), ("ArrowRight", last)):
        page.keyboard.press(key)
        expect(page.locator("#frame-detail")).to_have_text(
            re.compile(rf"Frame {frame}: verified — \d+ samples, checksum \d+\.")
        )
    page.keyboard.press("Escape")
    expect(page.locator("#frame-detail")).not_to_contain_text("Frame")


def test_a_strict_server_rejects_and_the_page_explains_it(
    system: System, open_page: OpenPage, sentence: Recording
) -> None:
    system.serve(*STRICT, "--corruption-threshold=1")
    page = open_page(system.url, microphone=sentence.path, viewport={"width": 1000, "height": 1100})
    page.click(".demo summary")
    page.uncheck("#heal")
    page.focus("#record")
    speak(page)
    expect(page.locator("#count-ok")).to_have_text(TEN_OR_MORE, timeout=SPEECH_MS)
    page.click("#corrupt-next")
    expect(page.locator("#failures li")).to_contain_text("Failure 1; 1 are tolerated")
    expect(page.locator("#panel")).to_be_hidden()
    page.click("#corrupt-next")
    expect(page.locator("#panel-title")).to_have_text("Rejected: the audio arrived damaged")
    expect(page.locator("#panel-reason")).to_have_text(
        re.compile(r"Connection rejected: Checksum mismatch: expected \d+, got \d+")
    )
    expect(page.locator("#panel-hints li").first).to_be_visible()
    expect(page.locator("#status-text")).to_have_text("Disconnected")
    page.click("text=Start a new session")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#status-text")).to_have_text("Listening")
    expect(page.locator("#count-corrupt")).to_have_text("0")


def test_a_gateway_that_restarts_costs_no_word(
    verifying: System, open_page: OpenPage, two_sentences: Recording
) -> None:
    expected = undisturbed(open_page, verifying, two_sentences)
    page = open_page(verifying.url)
    stream_file(page, two_sentences, fast=False)
    wait_for_verdicts(page, two_sentences.frames // 2)
    verifying.stop_gateway()
    expect(page.locator("#panel-title")).to_have_text("The connection was lost", timeout=10_000)
    verifying.start_gateway(*VERIFY)
    expect(page.locator("#panel")).to_be_hidden(timeout=20_000)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    assert sentences(page, two_sentences.sentences) == expected
    expect(page.locator("#count-resent")).not_to_have_text("0")
    assert number(page, "count-dropped") == 0


def test_a_cut_connection_is_resumed_where_it_broke(
    verifying: System, open_page: OpenPage, two_sentences: Recording, proxy: CuttingProxy
) -> None:
    expected = undisturbed(open_page, verifying, two_sentences)
    page = open_page(f"http://localhost:{proxy.port}/")
    stream_file(page, two_sentences, fast=False)
    for quarter in (1, 3):
        wait_for_verdicts(page, two_sentences.frames * quarter // 4)
        assert proxy.cut() >= 1
        expect(page.locator("#toast")).to_have_text("Reconnected.", timeout=10_000)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    assert sentences(page, two_sentences.sentences) == expected
    report = page.inner_text("#report-numbers")
    assert re.search(rf"Frames\s+{two_sentences.frames}\b", report), report
    assert re.search(r"reordered\s+0 · 0 · 0", report), report


@pytest.fixture
def proxy(verifying: System) -> Iterator[CuttingProxy]:
    with CuttingProxy(verifying.data_port) as proxy:
        yield proxy


def test_a_server_that_is_away_is_waited_for(
    verifying: System, open_page: OpenPage, sentence: Recording
) -> None:
    expected = undisturbed(open_page, verifying, sentence)
    page = open_page(verifying.url)
    verifying.stop_gateway()
    stream_file(page, sentence, fast=False)
    expect(page.locator("#panel-title")).to_have_text("The server cannot be reached")
    # So long that the gateway is back well before the page would try by itself.
    long_wait = re.compile(r"Next try in ([89]|10) s")
    expect(page.locator("#panel-progress")).to_have_text(long_wait, timeout=60_000)
    verifying.start_gateway(*VERIFY)
    page.click("text=Try now")
    assert sentences(page, 1) == expected


def test_a_microphone_is_not_opened_for_a_server_that_is_away(
    verifying: System, open_page: OpenPage, sentence: Recording
) -> None:
    page = open_page(verifying.url, microphone=sentence.path)
    verifying.stop_gateway()
    speak(page)
    expect(page.locator("#panel-title")).to_have_text("The server cannot be reached")
    expect(page.locator("#status-text")).to_have_text("Ready")
    verifying.start_gateway(*VERIFY)
    page.click("#record")
    expect(page.locator("#panel")).to_be_hidden()
    sentences(page, 1)


def test_a_full_server_says_so_and_takes_the_next_when_there_is_room(
    system: System, open_page: OpenPage, sentence: Recording
) -> None:
    system.serve(*VERIFY, "--max-sessions=1")
    first = open_page(system.url, microphone=sentence.path)
    speak(first)
    expect(first.locator("#count-ok")).to_have_text(TEN_OR_MORE, timeout=SPEECH_MS)
    second = open_page(system.url, microphone=sentence.path)
    speak(second)
    expect(second.locator("#panel-title")).to_have_text("The server is busy")
    expect(second.locator("#panel-reason")).to_contain_text("limit of 1 sessions")
    finish(first)
    second.click("text=Try now")
    expect(second.locator("#panel")).to_be_hidden()
    sentences(second, 1)


def test_a_server_that_does_not_verify_says_so_and_shows_amber(
    system: System, open_page: OpenPage, sentence: Recording
) -> None:
    system.serve()
    page = open_page(system.url)
    stream_file(page, sentence, fast=True)
    expect(page.locator("#report")).to_be_visible(timeout=SPEECH_MS)
    shows(page, "count-unverified", sentence.frames)
    assert number(page, "count-ok") == 0


def test_subtitles_follow_on_another_screen_without_the_numbers(
    verifying: System, open_page: OpenPage, sentence: Recording
) -> None:
    speaker = open_page(verifying.url, microphone=sentence.path)
    speak(speaker)
    link = speaker.locator("#share")
    expect(link).to_be_visible()
    address = f"{verifying.url.rstrip('/')}{link.get_attribute('href')}"
    screen = open_page(address, viewport={"width": 1000, "height": 620})
    expect(screen.locator("#status-text")).to_have_text("Subtitles")
    expect(screen.locator("#integrity-card")).to_be_hidden()
    text = sentences(screen, 1)
    assert text == sentences(speaker, 1)
    finish(speaker)
    expect(screen.locator("#status-text")).to_have_text("The session has ended")


def test_subtitles_of_a_session_that_is_over_say_so(verifying: System, open_page: OpenPage) -> None:
    page = open_page(f"{verifying.url}#observe={'0' * 32}")
    expect(page.locator("#panel-title")).to_have_text("This session is over")
