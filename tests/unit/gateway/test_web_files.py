from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from gateway import web_files
from gateway.web_files import WEB_DIRECTORY, content_security_policy, load, respond

HOST = "localhost:8012"
SERVED = [path for path in sorted(WEB_DIRECTORY.iterdir()) if path.suffix != ".json"]


def headers_of(target: str, host: str | None = HOST) -> dict[str, str]:
    return dict(respond(target, host).headers)


@pytest.mark.parametrize("target", ["/", "/?observe=00ff", "/index.html"])
def test_the_page_is_at_the_root_whatever_its_query(target: str) -> None:
    response = respond(target, HOST)
    assert response.status is HTTPStatus.OK
    assert response.body == (WEB_DIRECTORY / "index.html").read_bytes()
    assert dict(response.headers)["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", SERVED, ids=lambda path: path.name)
def test_every_file_is_served_with_its_type_and_length(path: Path) -> None:
    response = respond(f"/{path.name}", HOST)
    headers = dict(response.headers)
    assert response.body == path.read_bytes()
    assert headers["Content-Type"] == web_files.CONTENT_TYPES[path.suffix]
    assert headers["Content-Length"] == str(len(response.body))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "target",
    [
        "/../web_files.py",
        "/%2e%2e/web_files.py",
        "/..%2fweb_files.py",
        "//etc/passwd",
        "/./app.js/../../web_files.py",
        "/web_files.py",
        "/package.json",
        "/app.js/",
        "/APP.JS",
        "/app.js\0",
        "http://[broken",
        "",
        "app.js",
    ],
)
def test_nothing_else_is_served(target: str) -> None:
    response = respond(target, HOST)
    assert response.status is HTTPStatus.NOT_FOUND
    assert b"import" not in response.body


def test_files_of_other_types_and_links_are_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "notes.txt").write_text("private")
    (tmp_path / "folder.js").mkdir()
    (tmp_path / "link.js").symlink_to("/etc/hostname")
    assert set(load(tmp_path)) == {"/", "/index.html"}


def test_policy_allows_own_files_and_own_websockets_only() -> None:
    policy = headers_of("/")["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["connect-src"] == "'self' ws://localhost:8012 wss://localhost:8012"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert "unsafe" not in policy
    assert "*" not in policy


def test_an_ipv6_host_relies_on_self_since_a_policy_cannot_name_it() -> None:
    assert "connect-src 'self';" in content_security_policy("[::1]:8012")


@pytest.mark.parametrize("host", ["localhost", "192.168.1.7:8012", "[::1]:8012", "stt.example.org"])
def test_ordinary_hosts_are_served(host: str) -> None:
    assert respond("/", host).status is HTTPStatus.OK


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil; script-src *",
        "a b",
        "host\r\nSet-Cookie: x=1",
        "host:80:80",
        "host:port",
        "http://host",
        "*",
        "höst",
        "a" * 300,
    ],
)
def test_a_host_that_could_change_the_policy_is_refused(host: str | None) -> None:
    response = respond("/", host)
    assert response.status is HTTPStatus.BAD_REQUEST
    assert all(host not in value for _, value in response.headers if host)


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_nothing_inline() -> None:
    for path in WEB_DIRECTORY.iterdir():
        text = path.read_text()
        outside = re.findall(r"""(?:src\s*=|href\s*=|url\(|import|from)\s*\(?['\"]https?:""", text)
        assert outside == [], path.name
        assert "innerHTML" not in text, path.name
    page = (WEB_DIRECTORY / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
