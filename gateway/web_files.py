"""The browser client's files, for plain HTTP GET requests that reach the data port.

Everything that may be served is read once, into a table: no request touches the file system, so
there is no path to traverse.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

WEB_DIRECTORY: Final = Path(__file__).parent / "web"
INDEX: Final = "index.html"
CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLAIN_TEXT: Final = "text/plain; charset=utf-8"

# A name, an IPv4 or a bracketed IPv6 address, with or without a port: nothing that could end the
# directive it is put into.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.A)

FOR_ALL_PAGES: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),  # the address may name a session, which is a capability
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "microphone=(self), screen-wake-lock=(self), camera=(), geolocation=()"),
    ("Cache-Control", "no-cache"),  # the files are small, and stale ones would talk past the server
)


class Response(NamedTuple):
    """An HTTP response; ``headers`` in the order in which they are sent."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes


class File(NamedTuple):
    """One file that may be served."""

    content_type: str
    body: bytes


@functools.cache
def load(directory: Path = WEB_DIRECTORY) -> Mapping[str, File]:
    """The files by their URL path, each with its type. Files of other types are not served.

    Raises:
        OSError: a file cannot be read.
    """
    files = {
        f"/{file.name}": File(CONTENT_TYPES[file.suffix], file.read_bytes())
        for file in sorted(directory.iterdir())
        if file.suffix in CONTENT_TYPES and file.is_file() and not file.is_symlink()
    }
    files["/"] = files[f"/{INDEX}"]
    return files


def respond(target: str, host: str | None) -> Response:
    """The answer to ``GET target`` with the header ``Host: host``. Never raises.

    ``target`` is the request's path with its query, which does not matter here.
    """
    if host is None or _HOST.fullmatch(host) is None:
        return _text(HTTPStatus.BAD_REQUEST, "The Host header is missing or malformed.\n")
    try:
        path = urlsplit(target).path
    except ValueError:
        path = target
    found = load().get(path)
    if found is None:
        return _text(HTTPStatus.NOT_FOUND, "Nothing here. The page is at /\n")
    headers = (
        ("Content-Type", found.content_type),
        ("Content-Security-Policy", content_security_policy(host)),
    )
    return Response(HTTPStatus.OK, _with_length(headers, found.body), found.body)


def content_security_policy(host: str) -> str:
    """Only this server's own files, and WebSockets only to it; no inline code, no framing.

    ``'self'`` covers WebSockets in current browsers; older ones need them by name. A policy has
    no way to name an IPv6 address.
    """
    sockets = "" if host.startswith("[") else f" ws://{host} wss://{host}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self'{sockets}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _text(status: HTTPStatus, text: str) -> Response:
    body = text.encode()
    headers = (("Content-Type", PLAIN_TEXT), ("Content-Security-Policy", "default-src 'none'"))
    return Response(status, _with_length(headers, body), body)


def _with_length(headers: tuple[tuple[str, str], ...], body: bytes) -> tuple[tuple[str, str], ...]:
    return (*headers, ("Content-Length", str(len(body))), *FOR_ALL_PAGES)
