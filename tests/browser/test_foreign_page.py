"""A page of another site, in a real browser, gets nothing of any port; a key is asked for."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from common.api_keys import line_of, new_key
from tests.browser.chromium import Chromium
from tests.browser.conftest import OpenPage
from tests.browser.recordings import Recording
from tests.browser.system import VERIFY, System
from tests.processes import free_port

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TRY_SOCKET = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onopen = () => resolve('open');
  socket.onclose = ({ code }) => resolve(`closed ${code}`);
})"""
TRY_FETCH = "(url) => fetch(url).then((r) => r.text()).catch((error) => error.name)"

TRY_FETCH_WITH_KEY = """(url) => fetch(url, { headers: { Authorization: 'Bearer any' } })
  .then((r) => r.text()).catch((error) => error.name)"""


class Foreign(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another site</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[str]:
    """Address of a page of another site: on this machine too, which makes it no friend."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def test_a_page_of_another_site_gets_nothing_of_any_port(
    system: System, browsers: Chromium, foreign: str
) -> None:
    api, metrics = free_port(), free_port()
    system.serve(*VERIFY, "--api-port", str(api), "--metrics-port", str(metrics))
    sockets = {
        "data": f"ws://localhost:{system.data_port}/?events=integrity",
        "control": f"ws://localhost:{system.control_port}/",
        "api": f"ws://localhost:{api}/v1/realtime?intent=transcription",
    }
    context = browsers.browser().new_context()
    try:
        page = context.new_page()
        page.goto(foreign)
        for name, url in sockets.items():
            assert page.evaluate(TRY_SOCKET, url) == "closed 1006", name
        for url in (f"http://localhost:{api}/v1/models", f"http://localhost:{metrics}/metrics"):
            assert page.evaluate(TRY_FETCH, url) == "TypeError", url
        page.goto(system.url)  # and the server's own page does
        assert page.evaluate(TRY_SOCKET, sockets["data"]) == "open"
    finally:
        context.close()
    refused = [line for line in system.gateway.lines if "was refused: pages of this origin" in line]
    assert len(refused) >= 3


def test_an_allowed_page_of_another_site_uses_the_api_port(
    system: System, browsers: Chromium, foreign: str
) -> None:
    """With a header that makes the browser ask first whether it may."""
    api = free_port()
    system.serve(*VERIFY, "--api-port", str(api), "--allow-origin", foreign.rstrip("/"))
    context = browsers.browser().new_context()
    try:
        page = context.new_page()
        page.goto(foreign)
        models = page.evaluate(TRY_FETCH_WITH_KEY, f"http://localhost:{api}/v1/models")
        assert '"owned_by":"local"' in models  # whatever the engine
    finally:
        context.close()


def test_the_page_asks_for_the_key_and_keeps_it_in_its_tab(
    system: System, open_page: OpenPage, sentence: Recording, tmp_path: Path
) -> None:
    key, keys = new_key(), tmp_path / "api-keys"
    keys.write_text(line_of("alice", key))
    keys.chmod(0o600)
    system.serve(*VERIFY, "--api-keys", str(keys))
    page = open_page(system.url)
    page.set_checked("#file-fast", True)
    page.set_input_files("#file", sentence.path)
    expect(page.locator("#key-form")).to_be_visible()
    page.fill("#key", "stt_wrong")
    page.press("#key", "Enter")
    expect(page.locator("#key-reason")).to_have_text("There is no such key.")
    page.fill("#key", key)
    page.press("#key", "Enter")
    expect(page.locator("#report")).to_be_visible(timeout=60_000)
    expect(page.locator("#key-form")).to_be_hidden()
    assert page.evaluate("() => sessionStorage.getItem('stt-api-key')") == key
    assert key not in system.gateway.output
