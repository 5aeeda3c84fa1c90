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
_BODY: Final = re.compile(rb"(?im)^(?:content-length|transfer-encoding)[ \t]*:.*\r\n")
HEAD: Final = "HEAD"
MAX_HEAD_BYTES: Final = 64 * 1024
"""A longer one is passed on as it is, to be refused."""
END: Final = b"\r\n\r\n"
"""Of a request's head."""


class AnyMethodConnection(ServerConnection):
    """A connection whose first request may have any method; :attr:`method` keeps it."""

    method = ""
    _head: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        """Let websockets read the request as one with GET, and without a body."""
        if not self.method:
            found = _METHOD.match(data)
            self.method = found[1].decode() if found else GET
            if found and self.method != GET:
                data = GET.encode() + data[found.end(1) :]
        if self.method == GET:
            super().data_received(data)
        elif head := self._head_of(data):
            super().data_received(head)

    def _head_of(self, data: bytes) -> bytes:
        """The request's head, once it is whole; of its body nothing is said and nothing kept."""
        if self._head is None:
            return b""
        head = self._head + data
        end = head.find(END)
        if end < 0 and len(head) <= MAX_HEAD_BYTES:
            self._head = head
            return b""
        self._head = None
        return _BODY.sub(b"", head[: end + len(END)]) if end >= 0 else head


def answer(method: str, to_get: Response) -> Response:
    """The answer to a GET or HEAD, given the one to GET."""
    if method == HEAD:
        return Response(to_get.status_code, to_get.reason_phrase, to_get.headers)
    return to_get


def not_allowed(*methods: str) -> Response:
    """The answer to all other methods than these, by default GET and HEAD."""
    wanted = methods or (GET, HEAD)
    status = HTTPStatus.METHOD_NOT_ALLOWED
    body = f"Only {' and '.join(wanted)} {'is' if methods else 'are'} answered here.\n".encode()
    headers = Headers(
        [
            ("Allow", ", ".join(wanted)),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
    )
    return Response(status, status.phrase, headers, body)
