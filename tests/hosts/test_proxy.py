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


def get(proxied: Proxied, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection("127.0.0.1", proxied.port, context=proxied.tls)
    connection.sock = proxied.tls.wrap_socket(
        socket.create_connection(("127.0.0.1", proxied.port)), server_hostname=NAME
    )
    connection.request("GET", path, headers={"Host": f"{NAME}:{proxied.port}"})
    return connection.getresponse()


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


def test_log_lines_name_the_client_and_not_the_proxy(proxied: Proxied) -> None:
    with proxied.connect("/stt/", address="127.0.0.77"):
        proxied.gateway.wait_for_line(r"client 127\.0\.0\.77 via 127\.0\.0\.1:\d+ connected")
