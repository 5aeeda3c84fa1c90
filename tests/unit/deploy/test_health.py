"""deploy.health: what a stage says of itself, over a real HTTP connection."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from deploy.health import Health, hangs, health, sample
from tests.processes import free_port

METRICS = """\
# TYPE stt_sessions gauge
stt_sessions{kind="a"} 2
stt_sessions{kind="b"} 3
"""


class Stage(http.server.BaseHTTPRequestHandler):
    """Not ready, and with one metric."""

    def do_GET(self) -> None:  # its name is http.server's
        status, text = (503, "no verifier\n") if self.path == "/readyz" else (200, METRICS)
        if self.path == "/healthz":
            status, text = 503, "the loop has not turned for 11 s\n"
        self.send_response(status)
        self.send_header("Stt-Stage", "verifier 4711")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_stage_tells_why_it_is_not_ready(url: str) -> None:
    assert health(url, 10.0) == Health(False, "no verifier")


def test_another_program_on_the_port_is_not_taken_for_the_stage(url: str) -> None:
    assert health(url, 10.0, pid=4711) == Health(False, "no verifier")
    assert health(url, 10.0, pid=711) == Health(False, f"another program answers at {url}")


def test_a_stage_that_hangs_says_so(url: str) -> None:
    assert hangs(url, 4711, 10.0) == "the loop has not turned for 11 s"
    assert hangs(url, 711, 10.0) == ""
    assert hangs(f"http://127.0.0.1:{free_port()}", 4711) == ""


def test_a_metric_is_the_sum_of_its_samples_by_the_first_name_that_is_there(url: str) -> None:
    assert sample(url, ("stt_other", "stt_sessions"), 10.0) == 5
    assert sample(url, ("stt_other",), 10.0) is None


def test_a_stage_that_does_not_answer_is_not_ready() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    assert health(nobody) == Health(False, "no answer")
    assert sample(nobody, ("stt_sessions",)) is None
