"""Behind nginx with TLS and a prefix, as deploy/proxies/nginx.conf has it."""

from __future__ import annotations

import http.client
import json
import re
import socket

import pytest

from common.wire import Metadata, build_message
from tests.hosts.conftest import NAME, Proxied
from tests.speech import load, silence

pytestmark = pytest.mark.slow


def ask(
    proxied: Proxied, method: str, path: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection("127.0.0.1", proxied.port, context=proxied.tls)
    connection.sock = proxied.tls.wrap_socket(
        socket.create_connection(("127.0.0.1", proxied.port)), server_hostname=NAME
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Host": f"{NAME}:{proxied.port}", **named})
    return connection.getresponse()


def get(proxied: Proxied, path: str) -> http.client.HTTPResponse:
    return ask(proxied, "GET", path)


def test_the_page_and_what_it_loads_are_under_the_prefix(proxied: Proxied) -> None:
    page = get(proxied, "/stt/")
    assert page.status == 200
    for target in re.findall(r'(?:src|href)="([\w.-]+)"', page.read().decode()):
        assert get(proxied, f"/stt/{target}").status == 200, target


def test_without_its_slash_the_prefix_leads_to_the_page(proxied: Proxied) -> None:
    answer = get(proxied, "/stt")
    assert answer.status == 308
    assert str(answer.getheader("Location")).endswith("/stt/")


def test_a_stream_and_its_commands_go_through(proxied: Proxied) -> None:
    with proxied.connect("/stt/?events=integrity") as data:
        session = json.loads(data.recv(10))["session"]
        with proxied.connect(f"/stt/control?session={session}") as control:
            control.send('{"command": "get_parameter", "parameter": "language", "request_id": 7}')
            assert json.loads(control.recv(30))["request_id"] == 7
        for pcm in (silence(0.3) + load("bridge"), silence(1.5)):
            data.send(build_message(Metadata(16_000), pcm))
        data.send('{"type": "end"}')
        kinds = [json.loads(message)["type"] for message in data]
        assert kinds.count("fullSentence") == 1


def test_the_api_is_under_the_prefix_and_files_of_megabytes_reach_it(proxied: Proxied) -> None:
    """What is no audio is refused by the server, with its reason, and not by nginx for its size."""
    models = get(proxied, "/stt/v1/models")
    assert (models.status, json.load(models)["object"]) == (200, "list")
    path, no_audio = "/stt/v1/listen", b"no audio " * 300_000
    answer = ask(proxied, "POST", path, no_audio, Content_Type="audio/wav")
    assert (answer.status, "audio" in answer.read().decode()) == (400, True)


def test_log_lines_name_the_client_and_not_the_proxy(proxied: Proxied) -> None:
    with proxied.connect("/stt/", address="127.0.0.77"):
        proxied.gateway.wait_for_line(r"client 127\.0\.0\.77 via 127\.0\.0\.1:\d+ connected")
