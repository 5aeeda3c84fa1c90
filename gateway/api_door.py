"""The API port's door: every request is admitted by the gatekeeper or answered with a refusal."""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from common.api_keys import ApiKey
from gateway.access import Admission, Arrival, Refusal
from gateway.bounded_connection import RETRY_AFTER_S, Connections, via
from gateway.gatekeeper import Gatekeeper
from gateway.protocols.openai_transcriptions import error_body
from gateway.proxies import TrustedProxies
from gateway.tokens import EXCHANGE

ADMISSION: Final = "stt.admission"
"""Key of the scope: as whom a request came in."""


TWO_LENGTHS: Final = "a request has a Content-Length or a Transfer-Encoding, not both"
"""A proxy may have read the other one, and then sees another request in what follows."""
UNCHECKED: Final = Refusal(
    "unchecked",
    HTTPStatus.FORBIDDEN,
    "this API key is for audio with a checksum, which these protocols do not have",
)


class Door:
    """ASGI middleware before everything else.

    Args:
        connections: where the clients behind trusted proxies are counted, each by its address.
    """

    def __init__(self, app: ASGIApp, gatekeeper: Gatekeeper, connections: Connections) -> None:
        self._app = app
        self._gatekeeper = gatekeeper
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        arrival = arrival_of(scope, self._gatekeeper.proxies)
        remote = scope.get("client")
        if not remote or remote[0] == arrival.address:
            await self._admitted(arrival, scope, receive, send)
            return
        scope["client"] = (arrival.address, remote[1])  # for all that comes after: limits, log
        met = self._connections.enter_behind(arrival.address, via(arrival.address, remote))
        if met is not None:
            body = error_body(met.text, code=met.bound)
            later = {"Retry-After": str(RETRY_AFTER_S)}
            answer = JSONResponse(body, HTTPStatus.TOO_MANY_REQUESTS, later)
            await _answer(answer, scope, receive, send)
            return
        try:
            await self._admitted(arrival, scope, receive, send)
        finally:
            self._connections.leave_behind(arrival.address)

    async def _admitted(self, arrival: Arrival, scope: Scope, receive: Receive, send: Send) -> None:
        if arrival.headers("Content-Length") and arrival.headers("Transfer-Encoding"):
            await _answer(JSONResponse(error_body(TWO_LENGTHS), 400), scope, receive, send)
            return
        result = await self._gatekeeper.admit(arrival)
        if isinstance(result, Admission) and result.key is not None and result.key.wants_checksums:
            result = UNCHECKED
        if not isinstance(result, Refusal):
            scope[ADMISSION] = result
            if scope["path"] != EXCHANGE or scope.get("method") != "POST":
                await self._app(scope, receive, send)
                return
            token = await self._gatekeeper.exchange(arrival)
            if not isinstance(token, Refusal):
                given = {"token": token, "expires_in": self._gatekeeper.token_lifetime_s}
                answer = JSONResponse(given, headers={"Cache-Control": "no-store"})
                await answer(scope, receive, send)
                return
            result = token
        body = error_body(result.reason, code=result.kind)
        answer = JSONResponse(body, result.status, dict(result.headers))
        await _answer(answer, scope, receive, send)


async def _answer(answer: JSONResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a WebSocket's handshake, with a refusal; the rest of it is not read."""
    if scope["type"] != "websocket":
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)
        return
    websocket = WebSocket(scope, receive, send)
    await websocket.receive()  # the handshake
    await websocket.send_denial_response(answer)


def key_of(scope: Scope) -> ApiKey | None:
    """The API key that a request came in with."""
    admission: Admission = scope[ADMISSION]
    return admission.key


def arrival_of(scope: Scope, proxies: TrustedProxies) -> Arrival:
    """A request as the gatekeeper sees it."""
    headers: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in scope["headers"]:
        headers[name.decode("latin-1").lower()].append(value.decode("latin-1"))
    query = scope["query_string"].decode("latin-1")
    path = scope["path"] + (f"?{query}" if query else "")
    client, server = scope.get("client"), scope.get("server")

    def values(name: str) -> list[str]:
        return headers.get(name.lower(), [])

    return Arrival(
        values,
        path,
        proxies.client_of(str(client[0]), values) if client else "local",
        str(server[0]) if server else "local",
    )
