"""The WebSocket ports' handshakes, and the plain HTTP requests that reach them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final, overload

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from common.api_keys import ApiKey
from common.errors import CloseCode
from gateway import stock_page
from gateway.access import Admission, Arrival, Refusal
from gateway.any_method import GET, HEAD, AnyMethodConnection, answer, not_allowed
from gateway.bounded_connection import RETRY_AFTER_S, BoundedConnection
from gateway.credentials import SUBPROTOCOL, Credentials
from gateway.gatekeeper import Gatekeeper
from gateway.pairing import Origin
from gateway.protocols.realtimestt_query import Query
from gateway.proxies import TrustedProxies
from gateway.tenants import REVOKED
from gateway.tokens import EXCHANGE
from gateway.web_files import FOR_ALL_PAGES, respond

PAGE_MAY_ASK: Final = "/access"
POST: Final = "POST"
NOBODY: Final = Admission(None, Credentials())

Pages = Callable[[str, str], Response]
"""The answer to a GET request, by its target and its ``Host``."""


class Visitor(AnyMethodConnection, BoundedConnection):
    """A connection, and as whom it was admitted.

    Attributes:
        behind_proxy: address of the client, where a trusted proxy stands between; else "".
    """

    admission: Admission = NOBODY
    behind_proxy: str = ""

    @property
    def key(self) -> ApiKey | None:
        """The API key that it came in with."""
        return self.admission.key


class Handshake:
    """Answers a port's requests before any of them is a WebSocket.

    Args:
        pages: what plain HTTP requests get; None: nothing.
    """

    def __init__(self, gatekeeper: Gatekeeper, pages: Pages | None = None) -> None:
        self._gatekeeper = gatekeeper
        self._pages = pages

    async def process_request(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """None: go on with the WebSocket."""
        arrival = arrival_of(connection, request, self._gatekeeper.proxies)
        if isinstance(connection, Visitor) and arrival.address != _host(connection.remote_address):
            connection.behind_proxy = arrival.address
            if (met := connection.enter_behind(arrival.address)) is not None:
                later = (("Retry-After", str(RETRY_AFTER_S)),)
                return _text(HTTPStatus.TOO_MANY_REQUESTS, met.text, later)
        method = connection.method if isinstance(connection, Visitor) else GET
        path = arrival.path.partition("?")[0]
        is_exchange = method == POST and path == EXCHANGE
        if method not in (GET, HEAD) and not is_exchange:
            return not_allowed()
        if path == EXCHANGE and not is_exchange and not asks_for_websocket(request):
            return not_allowed(POST)
        if not is_readable(request):
            return _text(HTTPStatus.BAD_REQUEST, "A header is not ASCII.")
        if method == GET and asks_for_websocket(request):
            result = await self._gatekeeper.admit(arrival)
            if isinstance(result, Refusal):
                return refusal_response(result)
            if isinstance(connection, Visitor):
                connection.admission = result
            return None
        return answer(method, await self._plain(arrival))

    async def _plain(self, arrival: Arrival) -> Response:
        refusal = await self._gatekeeper.admit_site(arrival)
        if refusal is not None:
            return refusal_response(refusal)
        path = arrival.path.partition("?")[0]
        if path == EXCHANGE:
            return await self._token(arrival)
        if path == PAGE_MAY_ASK:
            return await self._access(arrival)
        if self._pages is None:
            return _text(HTTPStatus.UPGRADE_REQUIRED, "This is a WebSocket port.")
        hosts = arrival.headers("Host")
        return self._pages(arrival.path, hosts[0] if hosts else "")

    async def _token(self, arrival: Arrival) -> Response:
        """A token in exchange for a key, for where only a URL can be given."""
        token = await self._gatekeeper.exchange(arrival)
        if isinstance(token, Refusal):
            return refusal_response(token)
        return _json({"token": token, "expires_in": self._gatekeeper.token_lifetime_s})

    async def _access(self, arrival: Arrival) -> Response:
        """What the page asks before it connects: whether there is a key to ask the person for.

        Always 200: a browser would complain of another status on its console.
        """
        if not self._gatekeeper.asks_for_keys:
            return _json({"key": "none"})
        if not arrival.headers("Authorization"):
            return _json({"key": "wanted"})
        result = await self._gatekeeper.admit(arrival)
        if isinstance(result, Refusal):
            return _json({"key": "wrong", "reason": result.reason})
        return _json({"key": "right"})


def asks_for_websocket(request: Request) -> bool:
    """Whether a request is the beginning of a WebSocket; one with several such headers is not."""
    return [value.lower() for value in request.headers.get_all("Upgrade")] == ["websocket"]


def is_readable(request: Request) -> bool:
    """Whether all headers are ASCII: websockets fails to repeat others in its refusals."""
    return all(value.isascii() for _, value in request.headers.raw_items())


def pages_of(control_port: int, *, secure: bool) -> Pages:
    """The pages that a data port serves: this project's and RealtimeSTT's."""

    def answer(target: str, host: str) -> Response:
        if target.partition("?")[0] == stock_page.PATH:
            found = stock_page.page(target, host, secure=secure, control_port=control_port)
            if found is not None:
                text, policy = found
                headers = (("Content-Security-Policy", policy), *FOR_ALL_PAGES)
                return _response(HTTPStatus.OK, "text/html; charset=utf-8", text.encode(), headers)
        status, all_headers, body = respond(target, host)
        return Response(status, HTTPStatus(status).phrase, Headers(all_headers), body)

    return answer


def arrival_of(connection: ServerConnection, request: Request, proxies: TrustedProxies) -> Arrival:
    """A handshake as the gatekeeper sees it."""
    return Arrival(
        request.headers.get_all,
        request.path,
        proxies.client_of(_host(connection.remote_address), request.headers.get_all),
        _host(connection.local_address),
    )


def _host(address: object) -> str:
    return str(address[0]) if isinstance(address, tuple) else "local"


def asked_of(connection: ServerConnection) -> tuple[Query, ApiKey | None]:
    """What a connection to the data port asks for, and the key that it came in with."""
    query = Query.of(connection.request.path if connection.request else "/")
    if not isinstance(connection, Visitor):
        return query, None
    said = connection.admission.said
    return query._replace(session=said.session, observe=said.observe), connection.key


@overload
def of_key(origin: Origin, key: ApiKey | None) -> Origin: ...
@overload
def of_key(origin: Origin | None, key: ApiKey | None) -> Origin | None: ...
def of_key(origin: Origin | None, key: ApiKey | None) -> Origin | None:
    """Where a connection comes from, apart from what comes from there with other keys."""
    if origin is None or key is None:
        return origin
    return origin._replace(address=f"{origin.address} with the key {key.name}")


class Visitors:
    """The connections of a port, to close those whose key ends."""

    def __init__(self) -> None:
        self._here: set[Visitor] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def serve(
        self, connection: ServerConnection, handle: Callable[[ServerConnection], Awaitable[None]]
    ) -> None:
        """Handle a connection, knowing that it is here."""
        if not isinstance(connection, Visitor):
            await handle(connection)
            return
        self._here.add(connection)
        try:
            await handle(connection)
        finally:
            self._here.discard(connection)

    def end_revoked(self, still_holds: Callable[[ApiKey | None], bool]) -> None:
        """Close those whose key is revoked or expired."""
        for visitor in [one for one in self._here if not still_holds(one.key)]:
            closing = asyncio.create_task(visitor.close(CloseCode.POLICY_VIOLATION, REVOKED))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def select_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours if it is offered; what a client offers beside it may be a secret of its own."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def refusal_response(refusal: Refusal) -> Response:
    """An HTTP answer that says why."""
    return _text(refusal.status, refusal.reason, refusal.headers)


def _text(status: HTTPStatus, text: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
    shown = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"), *headers)
    return _response(status, "text/plain; charset=utf-8", f"{text}\n".encode(), shown)


def _json(value: object) -> Response:
    return _response(HTTPStatus.OK, "application/json", json.dumps(value).encode())


def _response(
    status: HTTPStatus,
    kind: str,
    body: bytes,
    headers: Sequence[tuple[str, str]] = (("Cache-Control", "no-store"),),
) -> Response:
    own = (("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close"))
    return Response(status, status.phrase, Headers([*own, *headers]), body)
