"""Requests with another method than GET get an answer on a WebSocket port too.

websockets reads GET alone and ends the connection at anything else. A health check that asks with
HEAD, and a program that posts to the wrong port, are told what is the matter instead.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Response

_METHOD: Final = re.compile(rb"([A-Z]{1,16}) ")
GET: Final = "GET"
HEAD: Final = "HEAD"


class AnyMethodConnection(ServerConnection):
    """A connection whose first request may have any method; :attr:`method` keeps it."""

    method = ""

    def data_received(self, data: bytes) -> None:
        """Let websockets read the request as one with GET."""
        if not self.method:
            found = _METHOD.match(data)
            self.method = found[1].decode() if found else GET
            if found and self.method != GET:
                data = GET.encode() + data[found.end(1) :]
        super().data_received(data)


def answer(method: str, to_get: Response) -> Response:
    """The answer to a GET or HEAD, given the one to GET."""
    if method == HEAD:
        return Response(to_get.status_code, to_get.reason_phrase, to_get.headers)
    return to_get


def not_allowed() -> Response:
    """The answer to all other methods."""
    status, body = HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET and HEAD are answered here.\n"
    headers = Headers(
        [
            ("Allow", "GET, HEAD"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
    )
    return Response(status, status.phrase, headers, body)
